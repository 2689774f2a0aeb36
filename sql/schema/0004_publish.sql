CREATE FUNCTION zipmodule.check_arguments(series text, archive text, metadata jsonb, priority integer, lane text,
                                          quiet interval, max_wait interval, on_missing text, level text, mode text,
                                          store text, deliver text[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  -- keeps due_at inside what a timestamp can hold, and is longer than any wait that is meant
  k_longest constant interval := '100 years';
  problem text;
BEGIN
  -- Each name is looked at once: a session sets up all of this expression anew in every transaction.
  problem := coalesce(
    'series: ' || zipmodule.name_problem(series),
    'archive: ' || zipmodule.name_problem(archive),
    CASE
      WHEN metadata IS NULL THEN 'metadata: must not be null'
      WHEN jsonb_typeof(metadata) <> 'object' THEN 'metadata: must be an object'
      WHEN priority IS NULL THEN 'priority: must not be null'
    END,
    CASE WHEN lane IS NOT NULL THEN 'lane: ' || zipmodule.name_problem(lane) END,
    CASE
      WHEN quiet IS NULL THEN 'quiet: must not be null'
      WHEN quiet < '0' THEN 'quiet: must not be negative'
      WHEN quiet > k_longest THEN 'quiet: must be at most 100 years'
      WHEN max_wait IS NULL THEN 'max_wait: must not be null'
      WHEN max_wait < '0' THEN 'max_wait: must not be negative'
      WHEN max_wait > k_longest THEN 'max_wait: must be at most 100 years'
      WHEN on_missing IS NULL OR on_missing NOT IN ('fail', 'skip') THEN 'on_missing: must be ''fail'' or ''skip'''
      WHEN level NOT IN ('store', 'fast', 'balanced', 'small') THEN
        'level: must be ''store'', ''fast'', ''balanced'' or ''small'''
      WHEN mode IS NULL OR mode NOT IN ('replace', 'merge') THEN 'mode: must be ''replace'' or ''merge'''
    END,
    CASE WHEN store IS NOT NULL THEN 'store: ' || zipmodule.name_problem(store) END,
    CASE
      WHEN array_ndims(deliver) > 1 OR cardinality(deliver) > 100 THEN 'deliver: must have at most 100 names'
      WHEN deliver IS NOT NULL THEN (
        SELECT 'deliver: a target''s name has 1 to 64 of A-Z a-z 0-9 _ . -'
        FROM unnest(deliver) AS target
        WHERE (target ~ '^[A-Za-z0-9_.-]{1,64}$') IS NOT TRUE
        LIMIT 1)
    END);
  IF problem IS NOT NULL THEN PERFORM zipmodule.refuse(problem); END IF;
END
$$;

-- The turn of a job that becomes pending now: one behind what has been served, and behind what its lane has pending. So
-- lanes take turns whatever their length, and a lane that comes later is not behind the whole of one that was there. What
-- was served already is not looked at: row versions of the past, which an old transaction may keep, cost nothing.
CREATE FUNCTION zipmodule.next_turn(its_lane text, its_priority integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN (
    -- Not max(turn): planned while its lane was short, that reads all of the lane for ever.
    SELECT 1 + coalesce((SELECT turn
                         FROM zipmodule.job
                         WHERE pending AND lane = its_lane COLLATE "C" AND priority = its_priority AND turn > served
                         ORDER BY turn DESC
                         LIMIT 1), served)
    FROM (
      SELECT CASE WHEN its_priority = 0 THEN (SELECT last_value FROM zipmodule.served_normal)
                  WHEN its_priority > 0 THEN (SELECT last_value FROM zipmodule.served_high)
                  ELSE (SELECT last_value FROM zipmodule.served_low)
             END
    ) AS so_far(served)
  );
END
$$;

-- Says that this archive shall contain these files. Part of the caller's transaction; holds a lock on the archive's row
-- until it ends.
CREATE FUNCTION zipmodule.publish(series text, archive text, files jsonb,
                                  metadata jsonb DEFAULT '{}', priority integer DEFAULT 0,
                                  lane text DEFAULT NULL,
                                  quiet interval DEFAULT '0', max_wait interval DEFAULT '1 hour',
                                  on_missing text DEFAULT 'fail', level text DEFAULT NULL,
                                  mode text DEFAULT 'replace', store text DEFAULT NULL,
                                  deliver text[] DEFAULT NULL)
RETURNS TABLE (job_id bigint, revision bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment constant timestamptz := statement_timestamp();
  its_lane text;
  its_turn bigint;
  elements integer;
BEGIN
  PERFORM zipmodule.check_arguments(publish.series, publish.archive, publish.metadata, publish.priority, publish.lane,
                                    publish.quiet, publish.max_wait, publish.on_missing, publish.level, publish.mode,
                                    publish.store, publish.deliver);
  PERFORM zipmodule.check_files(publish.files, publish.mode);
  its_lane := coalesce(publish.lane, publish.series);

  its_turn := zipmodule.next_turn(its_lane, publish.priority);

  -- Not ON CONFLICT DO UPDATE: all of the update is set up for every insert then, a sixth of a first publish.
  LOOP
    INSERT INTO zipmodule.job AS job (series, archive, files, metadata, on_missing, level, lane, priority, store,
                                      deliver, published_at, pending_since, turn, window_at, due_at)
    VALUES (publish.series, publish.archive,
            CASE publish.mode WHEN 'merge' THEN coalesce(zipmodule.merged_files('[]', publish.files), '[]')
                              ELSE publish.files END,
            publish.metadata, publish.on_missing, publish.level, its_lane,
            publish.priority, publish.store, publish.deliver, moment, moment, its_turn, moment,
            moment + least(publish.quiet, publish.max_wait))
    ON CONFLICT ON CONSTRAINT job_name DO NOTHING
    RETURNING job.job_id, job.wanted_revision, jsonb_array_length(job.files) INTO job_id, revision, elements;
    EXIT WHEN FOUND;

    UPDATE zipmodule.job SET
      files = CASE publish.mode WHEN 'merge' THEN coalesce(zipmodule.merged_files(job.files, publish.files), '[]')
                                ELSE publish.files END,
      metadata = publish.metadata,
      on_missing = publish.on_missing,
      level = publish.level,
      lane = its_lane,
      priority = publish.priority,
      store = publish.store,
      deliver = publish.deliver,
      published_at = moment,
      wanted_revision = job.wanted_revision + 1,
      cancelled_revision = 0,
      pending = true,
      -- A job that still waits keeps its place; a claim that runs now has used it up. The window in which publishes gather
      -- was used up by any claim of what is wanted, also by one that failed and is to be tried again, and by a cancel.
      (pending_since, turn, window_at, due_at) = (
        SELECT CASE WHEN fresh THEN moment ELSE job.pending_since END,
               CASE WHEN fresh THEN its_turn ELSE job.turn END,
               first_publish,
               least(moment + publish.quiet, first_publish + publish.max_wait)
        FROM (SELECT NOT job.pending
                     OR (job.lease_until IS NOT NULL AND job.lease_revision = job.wanted_revision)) AS f(fresh)
        CROSS JOIN LATERAL (
          SELECT CASE WHEN fresh OR job.lease_revision = job.wanted_revision
                           OR job.cancelled_revision = job.wanted_revision
                      THEN moment ELSE job.window_at END
        ) AS w(first_publish)
      ),
      attempts = 0,
      claims = 0,
      losses = 0,
      last_error_kind = NULL,
      last_error = NULL
    WHERE job.series = publish.series COLLATE "C" AND job.archive = publish.archive COLLATE "C"
    RETURNING job.job_id, job.wanted_revision, jsonb_array_length(job.files) INTO job_id, revision, elements;
    EXIT WHEN FOUND;  -- else somebody has removed it in between
  END LOOP;

  IF elements = 0 THEN
    PERFORM zipmodule.refuse('files: must not be empty after merging');
  END IF;
  IF elements > 1000000 THEN
    PERFORM zipmodule.refuse('files: must have at most 1000000 elements after merging');
  END IF;
  -- Whoever lingers learns of it at the commit. Only then: a notification makes commits wait for each other.
  IF EXISTS (SELECT FROM zipmodule.instance WHERE instance.listens_until > moment) THEN
    PERFORM pg_notify('zipmodule_publish', '');
  END IF;
  RETURN NEXT;
END
$$;

-- An INSERT into this view is a publish, for ORMs: columns left out or null take publish's defaults, and RETURNING
-- answers job_id and revision. Reading it shows what is wanted now.
CREATE VIEW zipmodule.publication AS
SELECT job_id,
       wanted_revision AS revision,
       series,
       archive,
       files,
       metadata,
       priority,
       lane,
       NULL::interval AS quiet,
       NULL::interval AS max_wait,
       on_missing,
       level,
       NULL::text AS mode,
       store,
       deliver
FROM zipmodule.job;

CREATE FUNCTION zipmodule.publication_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  NEW.metadata := coalesce(NEW.metadata, '{}');
  NEW.priority := coalesce(NEW.priority, 0);
  NEW.lane := coalesce(NEW.lane, NEW.series);
  NEW.quiet := coalesce(NEW.quiet, '0');
  NEW.max_wait := coalesce(NEW.max_wait, '1 hour');
  NEW.on_missing := coalesce(NEW.on_missing, 'fail');
  NEW.mode := coalesce(NEW.mode, 'replace');
  SELECT published.job_id, published.revision INTO NEW.job_id, NEW.revision
  FROM zipmodule.publish(NEW.series, NEW.archive, NEW.files, NEW.metadata, NEW.priority, NEW.lane, NEW.quiet,
                         NEW.max_wait, NEW.on_missing, NEW.level, NEW.mode,
                         NEW.store, NEW.deliver) AS published;
  RETURN NEW;
END
$$;
CREATE TRIGGER publication_insert INSTEAD OF INSERT ON zipmodule.publication
FOR EACH ROW EXECUTE FUNCTION zipmodule.publication_insert();

-- Without this the view would pass an owner's UPDATE on to the job, past all rules.
CREATE FUNCTION zipmodule.publication_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
    MESSAGE = 'zipmodule.publication only takes INSERT',
    HINT = 'publish again, or call zipmodule.cancel(series, archive)';
END
$$;
CREATE TRIGGER publication_refuse INSTEAD OF UPDATE OR DELETE ON zipmodule.publication
FOR EACH ROW EXECUTE FUNCTION zipmodule.publication_refuse();
