-- One row per day (UTC): is it getting slower, is it failing more?
CREATE VIEW zipmodule.telemetry_daily AS
SELECT (finished_at AT TIME ZONE 'UTC')::date AS day,
       count(lease_token) AS attempts,
       count(lease_token) FILTER (WHERE outcome = 'done') AS done,
       count(lease_token) FILTER (WHERE outcome = 'failed') AS failed,
       count(lease_token) FILTER (WHERE outcome = 'retry') AS retry,
       count(lease_token) FILTER (WHERE outcome = 'lost') AS lost,
       -- builds found damaged or gone, most of them by an audit, which is no attempt
       count(*) FILTER (WHERE error_kind = 'corrupt') AS damaged,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY total_seconds) FILTER (WHERE outcome = 'done') AS median_seconds,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY total_seconds) FILTER (WHERE outcome = 'done') AS p95_seconds,
       coalesce(sum(bytes_out) FILTER (WHERE outcome = 'done'), 0)::bigint AS bytes,
       coalesce(sum(files) FILTER (WHERE outcome = 'done'), 0)::bigint AS files
FROM zipmodule.telemetry
GROUP BY 1;

-- The hundred builds that took longest, with where their time went.
CREATE VIEW zipmodule.telemetry_slowest AS
SELECT series, archive, revision, attempt, outcome, finished_at, build_seconds, wait_seconds, total_seconds,
       plan_seconds, read_seconds, compress_seconds, write_seconds, sync_seconds, commit_seconds, cpu_seconds,
       files, files_reused, bytes_in, bytes_out, host
FROM zipmodule.telemetry
WHERE build_seconds IS NOT NULL
ORDER BY build_seconds DESC
LIMIT 100;

-- Removes telemetry and runs that ended longer ago than `keep`. Returns how many rows of telemetry went.
CREATE FUNCTION zipmodule.prune(keep interval) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  pruned bigint;
BEGIN
  IF keep IS NULL OR keep < '0' THEN PERFORM zipmodule.refuse('keep: must not be null or negative'); END IF;
  DELETE FROM zipmodule.telemetry WHERE finished_at < statement_timestamp() - keep;
  GET DIAGNOSTICS pruned = ROW_COUNT;
  DELETE FROM zipmodule.run WHERE coalesce(finished_at, started_at) < statement_timestamp() - keep;
  RETURN pruned;
END
$$;
