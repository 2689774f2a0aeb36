-- $1 array of {i, job_id, token, revision, progress}, $2 lease in seconds. Returns the state of each, in their order. A
-- row that a publish has locked at this moment is left for the next heartbeat, so that a publisher with an open
-- transaction can not make all leases of this worker run out.
WITH item AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb)
    AS item(i integer, job_id bigint, token bigint, revision bigint, progress double precision)
), mine AS MATERIALIZED (
  SELECT item.i, item.progress, job.job_id
  FROM item JOIN zipmodule.job ON job.job_id = item.job_id
  WHERE job.lease_token = item.token AND job.lease_until IS NOT NULL
  ORDER BY job.job_id
  FOR NO KEY UPDATE OF job SKIP LOCKED
), extended AS (
  UPDATE zipmodule.job
  SET lease_until = statement_timestamp() + make_interval(secs => $2::double precision), progress = mine.progress
  FROM mine
  WHERE job.job_id = mine.job_id
  RETURNING mine.i
)
SELECT CASE
         WHEN extended.i IS NOT NULL THEN 'held'
         WHEN job.lease_token = item.token AND job.lease_until IS NOT NULL THEN 'held'
         WHEN job.lease_token = item.token AND job.cancelled_revision >= item.revision THEN 'cancelled'
         ELSE 'lost'
       END AS state
FROM item
LEFT JOIN extended ON extended.i = item.i
LEFT JOIN zipmodule.job ON job.job_id = item.job_id
ORDER BY item.i
