-- $1 build_id, $2 what is wrong with it, $3 run_id, $4 host, $5 token of the lease under which that was seen, or null,
-- $6 kind of error. Where it is the current build of a job that nobody has locked: makes the job due for a rebuild of what
-- is wanted, and tells telemetry. Returns whether it is built again: what was cancelled stays cancelled.
WITH free AS MATERIALIZED (
  SELECT job.job_id, job.built_revision AS revision
  FROM zipmodule.build JOIN zipmodule.job ON job.job_id = build.job_id AND job.build_id = build.build_id
  WHERE build.build_id = $1
  FOR NO KEY UPDATE OF job SKIP LOCKED
), forgotten AS (
  UPDATE zipmodule.job
  SET build_id = NULL,
      built_revision = 0,
      linked_revision = 0,
      pending = wanted_revision > cancelled_revision,
      lease_until = CASE WHEN wanted_revision > cancelled_revision THEN lease_until END,
      pending_since = CASE WHEN pending THEN pending_since ELSE statement_timestamp() END,
      turn = CASE WHEN pending THEN turn ELSE zipmodule.next_turn(lane, priority) END,
      window_at = CASE WHEN pending THEN window_at ELSE statement_timestamp() END,
      due_at = statement_timestamp(),
      attempts = 0,
      losses = 0,
      last_error_kind = $6,
      last_error = left($2, 4000)
  FROM free
  WHERE job.job_id = free.job_id AND job.build_id = $1
  RETURNING job.*, free.revision
), retired AS (
  UPDATE zipmodule.build
  SET retired_at = statement_timestamp()
  WHERE build_id = $1 AND EXISTS (SELECT FROM forgotten)
), told AS (
  INSERT INTO zipmodule.telemetry (run_id, job_id, lease_token, host, series, archive, revision, attempt, outcome,
                                   error_kind, error, published_at, claimed_at)
  SELECT $3::bigint, job_id, $5::bigint, $4, series, archive, revision, lease.attempt,
         CASE WHEN pending THEN 'retry' ELSE 'failed' END, last_error_kind, last_error, lease.published_at,
         lease.claimed_at
  FROM forgotten
  LEFT JOIN LATERAL (
    SELECT lease_attempt AS attempt, lease_published_at AS published_at, lease_claimed_at AS claimed_at
    WHERE lease_token = $5::bigint
  ) AS lease ON true
  ON CONFLICT (job_id, lease_token) DO NOTHING
)
SELECT pending FROM forgotten
