-- $1 store. Returns in how many seconds the next waiting job is due, or null.
SELECT extract(epoch FROM min(due_at) - statement_timestamp())::double precision
FROM zipmodule.job
WHERE pending AND lease_until IS NULL AND (store IS NULL OR store = $1)
