-- $1 array of zipmodule.attempt whose jobs are locked, $2 instance. Returns i, held and outcome of each. A revision that
-- an earlier call has stored with the same build_id is held as well: then only the answer to that call was lost. The build
-- may be the job's current one, where nothing has changed since: it is of the new revision then.
--
-- OFFSET 0: each job is looked up by its key. Joined, the planner takes leases for as rare as the last ANALYZE found them,
-- reads all of the table, and compares every held job with every item.
WITH item AS MATERIALIZED (
  SELECT * FROM jsonb_populate_recordset(NULL::zipmodule.attempt, $1::jsonb)
), mine AS MATERIALIZED (
  SELECT item.*
  FROM item
  CROSS JOIN LATERAL (
    SELECT lease_token, lease_until, lease_revision, built_revision
    FROM zipmodule.job WHERE job.job_id = item.job_id OFFSET 0
  ) AS job
  WHERE job.lease_token = item.token
    AND job.lease_until IS NOT NULL
    AND job.lease_revision = item.revision
    AND job.lease_revision > job.built_revision
), retired AS (
  UPDATE zipmodule.build
  SET retired_at = statement_timestamp()
  FROM mine
  WHERE build.job_id = mine.job_id AND build.retired_at IS NULL AND build.build_id <> mine.build_id
), stored AS (
  INSERT INTO zipmodule.build (build_id, job_id, instance, revision, path, bytes, entries, fingerprint, mtime_ns)
  SELECT build_id, job_id, $2, revision, path, bytes, entries, fingerprint, mtime_ns FROM mine
  ON CONFLICT (build_id) DO UPDATE SET revision = EXCLUDED.revision WHERE build.job_id = EXCLUDED.job_id
), built AS (
  UPDATE zipmodule.job
  SET built_revision = mine.revision,
      build_id = mine.build_id,
      progress = 1,
      losses = 0,
      attempts = CASE WHEN job.wanted_revision = mine.revision THEN 0 ELSE job.attempts END,
      last_error_kind = CASE WHEN job.wanted_revision = mine.revision THEN NULL ELSE job.last_error_kind END,
      last_error = CASE WHEN job.wanted_revision = mine.revision THEN NULL ELSE job.last_error END
  FROM mine
  WHERE job.job_id = mine.job_id
)
SELECT item.i,
       mine.i IS NOT NULL OR known.build_id IS NOT NULL AS held,
       CASE
         WHEN mine.i IS NOT NULL OR known.build_id IS NOT NULL THEN 'done'
         WHEN job.lease_token = item.token AND job.cancelled_revision >= item.revision THEN 'cancelled'
         ELSE 'lost'
       END AS outcome
FROM item
LEFT JOIN mine ON mine.i = item.i
LEFT JOIN LATERAL (
  SELECT build_id FROM zipmodule.build
  WHERE build.build_id = item.build_id AND build.job_id = item.job_id AND build.revision = item.revision
  OFFSET 0
) AS known ON true
LEFT JOIN LATERAL (
  SELECT lease_token, cancelled_revision FROM zipmodule.job WHERE job.job_id = item.job_id OFFSET 0
) AS job ON true
