-- $1 build_id, $2 reason. Where it is the current build of its job: makes the job due for a rebuild of what is wanted.
-- Returns job_id then.
WITH forgotten AS (
  UPDATE zipmodule.job
  SET build_id = NULL,
      built_revision = 0,
      linked_revision = 0,
      -- What was cancelled stays cancelled.
      pending = wanted_revision > cancelled_revision,
      lease_until = CASE WHEN wanted_revision > cancelled_revision THEN lease_until END,
      pending_since = CASE WHEN pending THEN pending_since ELSE statement_timestamp() END,
      turn_at = CASE WHEN pending THEN turn_at ELSE statement_timestamp() END,
      window_at = CASE WHEN pending THEN window_at ELSE statement_timestamp() END,
      due_at = statement_timestamp(),
      attempts = 0,
      losses = 0,
      last_error_kind = 'corrupt',
      last_error = left($2, 4000)
  WHERE build_id = $1
  RETURNING job_id
), retired AS (
  UPDATE zipmodule.build
  SET retired_at = statement_timestamp()
  WHERE build_id = $1 AND EXISTS (SELECT FROM forgotten)
)
SELECT job_id FROM forgotten
