-- Group roles without login: GRANT one of them to the login that a CMS, the worker or a person uses. Roles belong to
-- the cluster: another database of it may have made them already, or be making them at this moment.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['zipmodule_publisher', 'zipmodule_worker', 'zipmodule_operator'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
      EXCEPTION
        WHEN duplicate_object OR unique_violation THEN
          NULL;
        WHEN insufficient_privilege THEN
          RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = format('role %s does not exist and %s may not create roles', wanted, current_user),
            HINT = 'let a superuser run: CREATE ROLE zipmodule_publisher; CREATE ROLE zipmodule_worker; '
                   'CREATE ROLE zipmodule_operator; then run zipmodule migrate again';
      END;
    END IF;
  END LOOP;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA zipmodule FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA zipmodule FROM PUBLIC;
GRANT USAGE ON SCHEMA zipmodule TO zipmodule_publisher, zipmodule_worker, zipmodule_operator;

-- RETURNING job_id, revision asks for SELECT on these two columns; they tell nothing but numbers.
GRANT INSERT, SELECT (job_id, revision) ON zipmodule.publication TO zipmodule_publisher;
GRANT EXECUTE ON FUNCTION
  zipmodule.publish(text, text, jsonb, jsonb, integer, text, interval, interval, text, text, text, text, text[]),
  zipmodule.cancel(text, text),
  zipmodule.status(text, text)
TO zipmodule_publisher;
-- The command line compares versions before it publishes.
GRANT SELECT ON zipmodule.schema_migration TO zipmodule_publisher;

GRANT SELECT, UPDATE ON zipmodule.job TO zipmodule_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON zipmodule.build TO zipmodule_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON zipmodule.delivery TO zipmodule_worker;
GRANT SELECT, INSERT ON zipmodule.telemetry, zipmodule.delivery_telemetry TO zipmodule_worker;
GRANT SELECT, INSERT, UPDATE ON zipmodule.run, zipmodule.instance TO zipmodule_worker;
GRANT SELECT, UPDATE ON zipmodule.identity TO zipmodule_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON zipmodule.target_place TO zipmodule_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON zipmodule.lane_lease TO zipmodule_worker;
GRANT SELECT, UPDATE ON zipmodule.lane_lock TO zipmodule_worker;
GRANT SELECT, UPDATE ON SEQUENCE zipmodule.served_low, zipmodule.served_normal, zipmodule.served_high TO zipmodule_worker;
GRANT EXECUTE ON FUNCTION zipmodule.next_turn(text, integer) TO zipmodule_worker;
-- A view's functions run with the rights of who reads it.
GRANT EXECUTE ON FUNCTION zipmodule.build_path(text, zipmodule.archive_format) TO zipmodule_worker, zipmodule_operator;
GRANT SELECT ON zipmodule.schema_migration, zipmodule.job_status, zipmodule.job_facts, zipmodule.hosts,
  zipmodule.delivery_status
TO zipmodule_worker;
GRANT EXECUTE ON FUNCTION zipmodule.status(text, text) TO zipmodule_worker;

-- job and build: `explain` and `status` tell what the views leave out.
GRANT SELECT ON zipmodule.schema_migration, zipmodule.job_status, zipmodule.job_facts, zipmodule.publication,
  zipmodule.telemetry, zipmodule.telemetry_daily, zipmodule.telemetry_slowest, zipmodule.run, zipmodule.job,
  zipmodule.build, zipmodule.hosts, zipmodule.identity, zipmodule.target_place, zipmodule.delivery, zipmodule.delivery_status, zipmodule.delivery_telemetry
TO zipmodule_operator;
GRANT EXECUTE ON FUNCTION
  zipmodule.retry(text, text),
  zipmodule.cancel(text, text),
  zipmodule.status(text, text),
  zipmodule.prune(interval)
TO zipmodule_operator;
