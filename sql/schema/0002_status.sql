-- The one place where the facts of a job become a state. Private: job_status is what others read.
CREATE VIEW zipmodule.job_facts AS
SELECT job.*,
       state,
       CASE state WHEN 'running' THEN job.progress WHEN 'done' THEN 1 WHEN 'delivering' THEN 1 ELSE 0 END
         ::double precision AS shown_progress,
       zipmodule.build_path(build.build_id, build.format) AS path,
       build.bytes,
       build.entries,
       build.fingerprint
FROM zipmodule.job
CROSS JOIN LATERAL (
  SELECT CASE
           WHEN job.lease_until >= statement_timestamp() THEN 'running'
           WHEN job.cancelled_revision = job.wanted_revision AND NOT job.pending THEN 'cancelled'
           WHEN NOT job.pending AND job.built_revision < job.wanted_revision THEN 'failed'
           WHEN job.pending AND job.due_at > statement_timestamp() THEN 'waiting'
           WHEN job.pending THEN 'pending'
           WHEN EXISTS (SELECT FROM zipmodule.delivery
                        WHERE delivery.build_id = job.build_id
                          AND delivery.required AND delivery.delivered_at IS NULL AND delivery.retired_at IS NULL)
             THEN 'delivering'
           ELSE 'done'
         END AS state
  OFFSET 0  -- or it is made anew for every use of it
) AS derived
LEFT JOIN zipmodule.build ON build.build_id = job.build_id;

CREATE VIEW zipmodule.job_status AS
SELECT job_id, series, archive, lane, state, priority, wanted_revision, built_revision, published_at,
       CASE WHEN pending THEN due_at END AS due_at,
       attempts,
       shown_progress AS progress,
       queue_position,
       path, bytes, entries, fingerprint, last_error_kind, last_error, metadata
FROM zipmodule.job_facts
LEFT JOIN (
  SELECT job_id, row_number() OVER (ORDER BY priority DESC, turn, job_id) AS queue_position
  FROM zipmodule.job
  WHERE pending
    AND due_at <= statement_timestamp()
    AND (lease_until IS NULL OR lease_until < statement_timestamp())
) AS queue USING (job_id);

-- The row of one job. The view numbers the whole queue for its queue_position; this counts only who is ahead, along the
-- index, for those who ask again and again.
CREATE FUNCTION zipmodule.status(series text, archive text) RETURNS SETOF zipmodule.job_status
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT job_id, f.series, f.archive, lane, state, priority, wanted_revision, built_revision, published_at,
         CASE WHEN pending THEN due_at END,
         attempts,
         shown_progress,
         CASE WHEN state = 'pending' THEN 1 + (
           SELECT count(*)
           FROM zipmodule.job AS ahead
           WHERE ahead.pending
             AND ahead.due_at <= statement_timestamp()
             AND (ahead.lease_until IS NULL OR ahead.lease_until < statement_timestamp())
             AND ahead.priority > f.priority
         ) + (
           SELECT count(*)
           FROM zipmodule.job AS ahead
           WHERE ahead.pending
             AND ahead.due_at <= statement_timestamp()
             AND (ahead.lease_until IS NULL OR ahead.lease_until < statement_timestamp())
             AND ahead.priority = f.priority
             AND (ahead.turn, ahead.job_id) < (f.turn, f.job_id)
         ) END,
         path, bytes, entries, fingerprint, last_error_kind, last_error, metadata
  FROM zipmodule.job_facts AS f
  WHERE f.series = status.series COLLATE "C" AND f.archive = status.archive COLLATE "C"
$$;
