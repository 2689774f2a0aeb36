-- $1 job id. Waits until it can be locked.
SELECT job_id FROM zipmodule.job WHERE job_id = $1::bigint FOR NO KEY UPDATE
