-- $1 host, $2 instance, $3 pid, $4 version, $5 store or empty, $6 seconds after which it is lost unless seen again, $7 token,
-- $8 path of the store. Returns run_id, whether the instance's run before ended by itself, and whether builds that the database
-- does not know are to be looked for.
WITH previous AS (
  SELECT finished_at IS NOT NULL AND outcome NOT IN ('database', 'error') AS clean
  FROM zipmodule.run
  WHERE instance = $2
  ORDER BY run_id DESC
  LIMIT 1
), ended AS (
  SELECT coalesce((SELECT clean FROM previous), true) AS clean
), begun AS (
  INSERT INTO zipmodule.run (host, instance, pid, version, token)
  VALUES ($1, $2, $3::integer, $4, $7)
  RETURNING run_id
), seen AS (
  INSERT INTO zipmodule.instance (instance, host, path, token, store, version, run_id, seen_at, silent_at)
  SELECT $2, $1, $8, $7, nullif($5, ''), $4, run_id, statement_timestamp(),
         statement_timestamp() + make_interval(secs => $6::double precision)
  FROM begun
  ON CONFLICT (instance) DO UPDATE
  SET host = EXCLUDED.host, path = EXCLUDED.path, token = EXCLUDED.token, store = EXCLUDED.store,
      version = EXCLUDED.version, run_id = EXCLUDED.run_id, seen_at = EXCLUDED.seen_at, silent_at = EXCLUDED.silent_at,
      listens_until = NULL,
      sweep_at = CASE WHEN (SELECT clean FROM ended) THEN instance.sweep_at ELSE statement_timestamp() END
)
SELECT run_id,
       clean AS previous_clean,
       NOT clean OR EXISTS (SELECT FROM zipmodule.instance WHERE instance = $2 AND sweep_at <= statement_timestamp()) AS sweeps
FROM begun, ended
