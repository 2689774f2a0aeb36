-- $1 instance, $2 run_id. Locks and returns the jobs that earlier runs of the instance still hold. One that a publish has
-- locked at this moment is left to the end of its lease, so that no open transaction can stop a run from starting.
SELECT job_id
FROM zipmodule.job
WHERE pending AND lease_until IS NOT NULL AND lease_by = $1 AND lease_run IS DISTINCT FROM $2::bigint
ORDER BY job_id
FOR NO KEY UPDATE SKIP LOCKED
