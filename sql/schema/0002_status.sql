-- The one place where the facts of a job become a state.
CREATE VIEW zipmodule.job_status AS
WITH queue AS (
  SELECT job_id, row_number() OVER (ORDER BY priority DESC, turn_at, job_id) AS queue_position
  FROM zipmodule.job
  WHERE pending
    AND due_at <= statement_timestamp()
    AND (lease_until IS NULL OR lease_until < statement_timestamp())
)
SELECT job.job_id,
       job.series,
       job.archive,
       job.lane,
       state.state,
       job.priority,
       job.wanted_revision,
       job.built_revision,
       job.published_at,
       CASE WHEN job.pending THEN job.due_at END AS due_at,
       job.attempts,
       CASE state.state WHEN 'running' THEN job.progress WHEN 'done' THEN 1 ELSE 0 END::double precision AS progress,
       queue.queue_position,
       build.path,
       build.bytes,
       build.entries,
       build.fingerprint,
       job.last_error_kind,
       job.last_error,
       job.metadata
FROM zipmodule.job
CROSS JOIN LATERAL (
  SELECT CASE
           WHEN job.lease_until >= statement_timestamp() THEN 'running'
           WHEN job.cancelled_revision = job.wanted_revision AND NOT job.pending THEN 'cancelled'
           WHEN NOT job.pending AND job.built_revision < job.wanted_revision THEN 'failed'
           WHEN job.pending AND job.due_at > statement_timestamp() THEN 'waiting'
           WHEN job.pending THEN 'pending'
           ELSE 'done'
         END AS state
) state
LEFT JOIN queue ON queue.job_id = job.job_id
LEFT JOIN zipmodule.build ON build.build_id = job.build_id;

CREATE FUNCTION zipmodule.status(series text, archive text) RETURNS SETOF zipmodule.job_status
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.* FROM zipmodule.job_status s WHERE s.series = status.series AND s.archive = status.archive
$$;
