-- How a statement that picks what is claimed begins: due.sql, then anywhere.sql, above.sql, after.sql or by_age.sql, then
-- locked.sql.
-- $1 most, $2 store, $3 lanes that are full. Returns due jobs.
SELECT job_id, priority, turn, lane, lease_until IS NOT NULL AS expired,
       extract(epoch FROM clock_timestamp() - statement_timestamp()) AS seconds  -- until it was found
FROM zipmodule.job
WHERE pending
  AND due_at <= statement_timestamp()
  AND (lease_until IS NULL OR lease_until < statement_timestamp())
  AND (store IS NULL OR store = $2)
  AND lane <> ALL ($3::text[])
