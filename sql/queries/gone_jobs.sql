-- $1 array of job ids. Returns those that somebody has removed.
SELECT asked.job_id
FROM unnest($1::bigint[]) AS asked(job_id)
WHERE NOT EXISTS (SELECT FROM zipmodule.job WHERE job.job_id = asked.job_id)
