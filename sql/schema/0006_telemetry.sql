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

-- One row per archive store on a host: is it alive, and what does it hold?
CREATE VIEW zipmodule.hosts AS
SELECT instance.host,
       instance.path,
       instance.instance,
       instance.store,
       instance.version,
       CASE
         WHEN run.finished_at IS NOT NULL THEN 'idle'
         WHEN instance.silent_at < statement_timestamp() THEN 'lost'
         ELSE 'running'
       END AS state,
       instance.seen_at,
       run.finished_at IS NULL AND coalesce(instance.listens_until > statement_timestamp(), false) AS listening,
       instance.run_id,
       run.pid,
       run.started_at,
       run.finished_at,
       run.outcome,
       (SELECT count(*)
        FROM zipmodule.job
        WHERE job.pending AND job.lease_by = instance.instance AND job.lease_until >= statement_timestamp()) AS leases,
       (SELECT count(*) FROM zipmodule.build WHERE build.instance = instance.instance AND build.retired_at IS NULL) AS builds
FROM zipmodule.instance
LEFT JOIN zipmodule.run ON run.run_id = instance.run_id
WHERE instance.host IS NOT NULL;

-- One row per build and target: what is where, and what is still to go there?
CREATE VIEW zipmodule.delivery_status AS
SELECT delivery.target,
       delivery.series,
       delivery.archive,
       build.revision,
       CASE
         WHEN delivery.retired_at IS NOT NULL THEN 'retired'
         WHEN delivery.delivered_at IS NOT NULL THEN 'delivered'
         WHEN delivery.due_at > statement_timestamp() THEN 'waiting'
         ELSE 'pending'
       END AS state,
       delivery.required,
       delivery.created_at,
       CASE WHEN delivery.delivered_at IS NULL AND delivery.retired_at IS NULL THEN delivery.due_at END AS due_at,
       delivery.attempts,
       delivery.delivered_at,
       delivery.retired_at,
       zipmodule.build_path(delivery.build_id, coalesce(build.format, 'zip')) AS path,
       delivery.bytes,
       delivery.last_error_kind,
       delivery.last_error,
       delivery.instance,
       delivery.job_id,
       delivery.build_id
FROM zipmodule.delivery
LEFT JOIN zipmodule.build ON build.build_id = delivery.build_id;

-- Removes telemetry and runs that ended longer ago than `keep`, all at once. Returns how many rows of telemetry went. The
-- newest run of each instance stays, however old: the next one has to know whether it ended by itself.
CREATE FUNCTION zipmodule.prune(keep interval) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  pruned bigint;
BEGIN
  IF keep IS NULL OR keep < '0' THEN PERFORM zipmodule.refuse('keep: must not be null or negative'); END IF;
  DELETE FROM zipmodule.telemetry WHERE finished_at < statement_timestamp() - keep;
  GET DIAGNOSTICS pruned = ROW_COUNT;
  DELETE FROM zipmodule.delivery_telemetry WHERE finished_at < statement_timestamp() - keep;
  DELETE FROM zipmodule.run
  WHERE coalesce(finished_at, started_at) < statement_timestamp() - keep
    AND EXISTS (SELECT FROM zipmodule.run AS newer WHERE newer.instance = run.instance AND newer.run_id > run.run_id);
  RETURN pruned;
END
$$;
