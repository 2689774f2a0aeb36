-- $1 array of zipmodule.attempt whose jobs are locked. Ends leases whose build is linked. Returns i, held and outcome.
WITH item AS MATERIALIZED (
  SELECT * FROM jsonb_populate_recordset(NULL::zipmodule.attempt, $1::jsonb)
), mine AS MATERIALIZED (
  -- OFFSET 0: looked up by key, see commit.sql
  SELECT item.i, item.job_id
  FROM item
  CROSS JOIN LATERAL (
    SELECT lease_token, lease_until FROM zipmodule.job WHERE job.job_id = item.job_id OFFSET 0
  ) AS job
  WHERE job.lease_token = item.token AND job.lease_until IS NOT NULL
), released AS (
  UPDATE zipmodule.job
  SET lease_until = NULL,
      linked_revision = job.built_revision,
      pending = job.wanted_revision > job.built_revision AND job.wanted_revision > job.cancelled_revision,
      losses = 0,
      progress = 0
  FROM mine
  WHERE job.job_id = mine.job_id
  RETURNING mine.i
)
SELECT item.i,
       released.i IS NOT NULL AS held,
       CASE
         WHEN released.i IS NOT NULL THEN item.outcome
         WHEN job.lease_token = item.token AND job.cancelled_revision >= item.revision THEN 'cancelled'
         ELSE 'lost'
       END AS outcome
FROM item
LEFT JOIN released ON released.i = item.i
LEFT JOIN LATERAL (
  SELECT lease_token, cancelled_revision FROM zipmodule.job WHERE job.job_id = item.job_id OFFSET 0
) AS job ON true
