-- $1 most, $2 store, $3 lanes that are full, $4 priority, $5 turn, $6 job_id. The same of one priority, behind that job: what
-- was served before, and is kept by transactions older than that, is not stepped over again.
SELECT job_id, priority, turn, lane, lease_until IS NOT NULL AS expired,
       extract(epoch FROM clock_timestamp() - statement_timestamp()) AS seconds  -- until it was found
FROM zipmodule.job
WHERE pending
  AND due_at <= statement_timestamp()
  AND (lease_until IS NULL OR lease_until < statement_timestamp())
  AND (store IS NULL OR store = $2)
  AND lane <> ALL ($3::text[])
  AND priority = $4::integer
  AND (turn, job_id) > ($5::bigint, $6::bigint)
ORDER BY turn, job_id
LIMIT $1::bigint
FOR NO KEY UPDATE SKIP LOCKED
