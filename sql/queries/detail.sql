-- $1 job_id. Returns what explain says beside the status.
SELECT extract(epoch FROM statement_timestamp() - published_at)::double precision AS age_seconds,
       extract(epoch FROM due_at - statement_timestamp())::double precision AS due_in_seconds,
       CASE WHEN lease_until IS NOT NULL THEN lease_by END AS lease_by,
       extract(epoch FROM lease_until - statement_timestamp())::double precision AS lease_left_seconds,
       files, on_missing, store,
       store IS NULL OR EXISTS (SELECT FROM zipmodule.hosts WHERE hosts.store = job.store) AS store_known
FROM zipmodule.job
WHERE job_id = $1::bigint
