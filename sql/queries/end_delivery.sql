-- $1 build_id, $2 target, $3 run_id, $4 host, $5 outcome: done, superseded, retry or removed, $6 kind of error, $7 error,
-- $8 seconds until the next try, null: by the number of attempts, $9 seconds of the whole, $10 of the upload, $11 of the
-- switch, $12 bytes sent, $13 whether its public name there was switched or taken away, or may have been.
--
-- Where it was switched to a build that is no longer its job's current one, or taken away from one that had it last, the
-- current one is due again, to be switched to. Returns the outcome.
WITH given AS (
  SELECT delivery.*,
         job.build_id AS current_build,
         build.revision,
         CASE
           WHEN $5 = 'done' AND (delivery.retired_at IS NOT NULL OR job.build_id IS DISTINCT FROM delivery.build_id)
             THEN 'superseded'
           ELSE $5
         END AS verdict
  FROM zipmodule.delivery
  LEFT JOIN zipmodule.job ON job.job_id = delivery.job_id
  LEFT JOIN zipmodule.build ON build.build_id = delivery.build_id
  WHERE delivery.build_id = $1 AND delivery.target = $2
  FOR NO KEY UPDATE OF delivery
), ended AS (
  UPDATE zipmodule.delivery
  SET delivered_at = CASE verdict WHEN 'done' THEN statement_timestamp() ELSE delivery.delivered_at END,
      attempts = CASE verdict WHEN 'done' THEN 0 WHEN 'retry' THEN delivery.attempts + 1 ELSE delivery.attempts END,
      due_at = CASE verdict WHEN 'retry' THEN statement_timestamp() + make_interval(
                 secs => coalesce($8::double precision, least(3600, 10 * 2 ^ least(delivery.attempts, 10)) * (1 + random() / 10)))
               ELSE delivery.due_at END,
      last_error_kind = $6,
      last_error = left($7, 4000)
  FROM given
  WHERE delivery.build_id = $1 AND delivery.target = $2 AND verdict <> 'removed'
), gone AS (
  DELETE FROM zipmodule.delivery
  USING given
  WHERE delivery.build_id = $1 AND delivery.target = $2 AND verdict = 'removed' AND given.retired_at IS NOT NULL
), replaced AS (
  UPDATE zipmodule.delivery
  SET retired_at = statement_timestamp()
  FROM given
  WHERE verdict = 'done'
    AND delivery.job_id = given.job_id AND delivery.target = $2
    AND delivery.build_id <> $1
    AND delivery.retired_at IS NULL
), again AS (
  UPDATE zipmodule.delivery
  SET delivered_at = NULL, due_at = statement_timestamp()
  FROM given
  WHERE verdict <> 'done'
    AND $13::boolean
    AND delivery.build_id = given.current_build AND delivery.target = $2
    AND delivery.build_id <> $1
    AND delivery.delivered_at IS NOT NULL AND delivery.retired_at IS NULL
), told AS (
  INSERT INTO zipmodule.delivery_telemetry (
    run_id, job_id, host, series, archive, revision, build_id, target, attempt, outcome, error_kind, error,
    started_at, wait_seconds, upload_seconds, switch_seconds, total_seconds, bytes, bytes_sent)
  SELECT $3::bigint, given.job_id, $4, given.series, given.archive, given.revision, $1, $2, given.attempts + 1, verdict, $6,
         left($7, 4000), started.at,
         CASE WHEN given.retired_at IS NULL THEN greatest(0, extract(epoch FROM started.at - given.due_at)) END,
         $10::double precision, $11::double precision,
         CASE WHEN verdict = 'done' THEN extract(epoch FROM statement_timestamp() - job.published_at) END,
         given.bytes, $12::bigint
  FROM given
  LEFT JOIN zipmodule.job ON job.job_id = given.job_id
  CROSS JOIN LATERAL (SELECT statement_timestamp() - make_interval(secs => $9::double precision) AS at) AS started
)
SELECT verdict FROM given
