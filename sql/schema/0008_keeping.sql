-- What keeps tables small, and what finds out why they don't stay so.

-- One row for all hosts: when the end of a run last pruned. Null: never.
CREATE TABLE zipmodule.upkeep (
  only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  pruned_at timestamptz
);
INSERT INTO zipmodule.upkeep DEFAULT VALUES;

-- Looks at the next `most` attempts behind the id `after`, removes those that ended longer ago than `keep`, and returns the
-- last id looked at, null where there was none, how many went, and whether it is done: nothing was left, or none went and
-- some were newer. Ids rise with time: whoever goes on from there until it is done never reads all that is newer, nor again
-- what is dead.
CREATE FUNCTION zipmodule.prune_telemetry(keep interval, after bigint, most integer, OUT last bigint, OUT pruned bigint,
                                          OUT done boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF keep IS NULL OR keep < '0' THEN PERFORM zipmodule.refuse('keep: must not be null or negative'); END IF;
  WITH part AS MATERIALIZED (
    SELECT id, finished_at FROM zipmodule.telemetry WHERE id > prune_telemetry.after ORDER BY id LIMIT prune_telemetry.most
  ), gone AS (
    DELETE FROM zipmodule.telemetry
    USING part
    WHERE telemetry.id = part.id AND part.finished_at < statement_timestamp() - prune_telemetry.keep
    RETURNING telemetry.id
  )
  SELECT max(part.id), (SELECT count(*) FROM gone),
         count(*) = 0 OR (bool_or(part.finished_at >= statement_timestamp() - prune_telemetry.keep) AND NOT EXISTS (SELECT FROM gone))
  INTO prune_telemetry.last, prune_telemetry.pruned, prune_telemetry.done
  FROM part;
END
$$;

-- The same for runs. The newest of each instance stays, as prune() leaves it.
CREATE FUNCTION zipmodule.prune_runs(keep interval, after bigint, most integer, OUT last bigint, OUT pruned bigint,
                                          OUT done boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF keep IS NULL OR keep < '0' THEN PERFORM zipmodule.refuse('keep: must not be null or negative'); END IF;
  WITH part AS MATERIALIZED (
    SELECT run_id, instance, coalesce(finished_at, started_at) AS ended_at
    FROM zipmodule.run
    WHERE run_id > prune_runs.after
    ORDER BY run_id
    LIMIT prune_runs.most
  ), gone AS (
    DELETE FROM zipmodule.run
    USING part
    WHERE run.run_id = part.run_id
      AND part.ended_at < statement_timestamp() - prune_runs.keep
      AND EXISTS (SELECT FROM zipmodule.run AS newer WHERE newer.instance = part.instance AND newer.run_id > part.run_id)
    RETURNING run.run_id
  )
  SELECT max(part.run_id), (SELECT count(*) FROM gone),
         count(*) = 0 OR (bool_or(part.ended_at >= statement_timestamp() - prune_runs.keep) AND NOT EXISTS (SELECT FROM gone))
  INTO prune_runs.last, prune_runs.pruned, prune_runs.done
  FROM part;
END
$$;

-- Removes up to `most` attempts of deliveries that ended longer ago than `keep`; returns how many. Ids rise with time.
CREATE FUNCTION zipmodule.prune_deliveries(keep interval, most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH part AS MATERIALIZED (
    SELECT id, finished_at FROM zipmodule.delivery_telemetry ORDER BY id LIMIT prune_deliveries.most
  ), gone AS (
    DELETE FROM zipmodule.delivery_telemetry
    USING part
    WHERE delivery_telemetry.id = part.id AND part.finished_at < statement_timestamp() - prune_deliveries.keep
    RETURNING 1
  )
  SELECT count(*) FROM gone
$$;

-- What keeps vacuum from removing this database's dead rows: open transactions, prepared ones, replication slots and the
-- standbys that report what they read. Sees other people's sessions as far as the functions' owner may (pg_read_all_stats),
-- and shows of them what is here and no query. `seconds` is null where there is no time to tell, only transactions.
CREATE FUNCTION zipmodule.vacuum_holders()
RETURNS TABLE (kind text, name text, usename text, application text, seconds double precision, transactions bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN backend_type = 'walsender' THEN 'standby' ELSE 'transaction' END,
         'pid ' || pid,
         activity.usename::text,
         application_name,
         extract(epoch FROM statement_timestamp() - xact_start)::double precision,
         greatest(age(backend_xmin), age(backend_xid))::bigint
  FROM pg_stat_activity AS activity
  WHERE pid <> pg_backend_pid()
    AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    AND (datname = current_database() OR backend_type = 'walsender')
    -- Vacuum itself holds no other vacuum back, and a parallel worker's leader stands here as well.
    AND backend_type NOT IN ('autovacuum worker', 'parallel worker')
  UNION ALL
  SELECT 'prepared', gid, owner::text, '',
         extract(epoch FROM statement_timestamp() - prepared)::double precision,
         age(transaction)::bigint
  FROM pg_prepared_xacts
  WHERE database = current_database()
  UNION ALL
  SELECT 'slot', slot_name::text, '', coalesce(plugin::text, ''), NULL, greatest(age(xmin), age(catalog_xmin))::bigint
  FROM pg_replication_slots
  WHERE (xmin IS NOT NULL OR catalog_xmin IS NOT NULL)
    AND (database IS NULL OR database = current_database())
$$;

-- Whether vacuum_holders() sees the sessions of all roles.
CREATE FUNCTION zipmodule.sees_all_sessions() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
$$;

-- Every claim, heartbeat and commit leaves a dead row in job. Most go when a page is next read, those that are not HOT wait
-- for vacuum: with the server's defaults until they are a fifth of all archives ever published, here until a fiftieth. Without
-- pauses, because what there is to do is small by then.
ALTER TABLE zipmodule.job SET (
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 500,
  toast.autovacuum_vacuum_scale_factor = 0.05
);
-- What pruning leaves is reused sooner.
ALTER TABLE zipmodule.telemetry SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE zipmodule.run SET (autovacuum_vacuum_scale_factor = 0.05);

REVOKE ALL ON TABLE zipmodule.upkeep FROM PUBLIC;
REVOKE ALL ON FUNCTION
  zipmodule.prune_telemetry(interval, bigint, integer),
  zipmodule.prune_runs(interval, bigint, integer),
  zipmodule.prune_deliveries(interval, integer),
  zipmodule.vacuum_holders(),
  zipmodule.sees_all_sessions()
FROM PUBLIC;
GRANT SELECT, UPDATE ON zipmodule.upkeep TO zipmodule_worker;
GRANT SELECT ON zipmodule.upkeep TO zipmodule_operator;
GRANT EXECUTE ON FUNCTION
  zipmodule.prune_telemetry(interval, bigint, integer),
  zipmodule.prune_runs(interval, bigint, integer),
  zipmodule.prune_deliveries(interval, integer),
  zipmodule.vacuum_holders(),
  zipmodule.sees_all_sessions()
TO zipmodule_worker, zipmodule_operator;
