-- $1 host, $2 instance, $3 pid, $4 version, $5 store or empty, $6 seconds after which it is lost unless seen again. Returns
-- run_id, and whether the instance's run before ended by itself.
WITH previous AS (
  SELECT finished_at IS NOT NULL AND outcome NOT IN ('database', 'error') AS clean
  FROM zipmodule.run
  WHERE instance = $2
  ORDER BY run_id DESC
  LIMIT 1
), begun AS (
  INSERT INTO zipmodule.run (host, instance, pid, version)
  VALUES ($1, $2, $3::integer, $4)
  RETURNING run_id
), seen AS (
  INSERT INTO zipmodule.instance (instance, host, store, version, run_id, seen_at, silent_at)
  SELECT $2, $1, nullif($5, ''), $4, run_id, statement_timestamp(),
         statement_timestamp() + make_interval(secs => $6::double precision)
  FROM begun
  ON CONFLICT (instance) DO UPDATE
  SET host = EXCLUDED.host, store = EXCLUDED.store, version = EXCLUDED.version, run_id = EXCLUDED.run_id,
      seen_at = EXCLUDED.seen_at, silent_at = EXCLUDED.silent_at, listens_until = NULL
)
SELECT run_id, coalesce((SELECT clean FROM previous), true) AS previous_clean FROM begun
