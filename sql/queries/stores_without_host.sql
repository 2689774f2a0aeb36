-- Returns the stores that due jobs were published for and that no host has, and how many jobs wait so for each.
SELECT store, count(*) AS jobs
FROM zipmodule.job
WHERE pending
  AND due_at <= statement_timestamp()
  AND (lease_until IS NULL OR lease_until < statement_timestamp())
  AND NOT EXISTS (SELECT FROM zipmodule.hosts WHERE hosts.store = job.store)
  AND store IS NOT NULL
GROUP BY store
ORDER BY jobs DESC, store
