-- $1 host, $2 instance, $3 pid, $4 version. Returns run_id, and whether the instance's run before ended by itself.
WITH previous AS (
  SELECT finished_at IS NOT NULL AND outcome NOT IN ('database', 'error') AS clean
  FROM zipmodule.run
  WHERE instance = $2
  ORDER BY run_id DESC
  LIMIT 1
), store AS (
  INSERT INTO zipmodule.instance (instance) VALUES ($2) ON CONFLICT (instance) DO NOTHING
)
INSERT INTO zipmodule.run (host, instance, pid, version)
VALUES ($1, $2, $3::integer, $4)
RETURNING run_id, coalesce((SELECT clean FROM previous), true) AS previous_clean
