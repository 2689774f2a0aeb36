-- $1 array of job ids. Locks those that nobody else has locked and returns them.
SELECT job_id FROM zipmodule.job WHERE job_id = ANY ($1::bigint[]) ORDER BY job_id FOR NO KEY UPDATE SKIP LOCKED
