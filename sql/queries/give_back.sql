-- $1 array of zipmodule.attempt whose jobs are locked. Ends leases without judging the attempt. Returns i, held and
-- outcome.
WITH item AS MATERIALIZED (
  SELECT * FROM jsonb_populate_recordset(NULL::zipmodule.attempt, $1::jsonb)
), given AS (
  UPDATE zipmodule.job
  SET lease_until = NULL, progress = 0
  FROM item
  WHERE job.job_id = item.job_id AND job.lease_token = item.token AND job.lease_until IS NOT NULL
  RETURNING item.i
)
SELECT item.i,
       given.i IS NOT NULL AS held,
       CASE
         WHEN given.i IS NOT NULL THEN 'retry'
         WHEN job.lease_token = item.token AND job.cancelled_revision >= item.revision THEN 'cancelled'
         ELSE 'lost'
       END AS outcome
FROM item
LEFT JOIN given ON given.i = item.i
LEFT JOIN zipmodule.job ON job.job_id = item.job_id
