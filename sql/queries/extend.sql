-- $1 to $4 arrays of job_id, token, revision and progress, $5 lease in seconds. Returns the state of each, in their order.
-- A row that a publish has locked at this moment is left for the next heartbeat, so that a publisher with an open
-- transaction can not make all leases of this worker run out.
WITH item AS MATERIALIZED (
  SELECT *
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::double precision[])
    WITH ORDINALITY AS item(job_id, token, revision, progress, i)
), mine AS MATERIALIZED (
  SELECT item.i, item.progress, job.job_id
  FROM item JOIN zipmodule.job ON job.job_id = item.job_id
  WHERE job.lease_token = item.token AND job.lease_until IS NOT NULL
  ORDER BY job.job_id
  FOR NO KEY UPDATE OF job SKIP LOCKED
), extended AS (
  UPDATE zipmodule.job
  SET lease_until = statement_timestamp() + make_interval(secs => $5::double precision), progress = mine.progress
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
