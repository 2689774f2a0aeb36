-- $1 run_id, $2 claimed, $3 done, $4 failed, $5 outcome.
WITH finished AS (
  UPDATE zipmodule.run
  SET finished_at = statement_timestamp(), claimed = $2::bigint, done = $3::bigint, failed = $4::bigint, outcome = $5
  WHERE run_id = $1::bigint
)
UPDATE zipmodule.instance
SET seen_at = statement_timestamp(), listens_until = NULL
WHERE run_id = $1::bigint
