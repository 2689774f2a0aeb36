-- $1 run_id, $2 host, $3 instance, $4 lease in seconds, $5 most. Returns due jobs, best first: those of `expired` are only
-- locked, for end_lost in the same transaction; the others are claimed.
WITH due AS MATERIALIZED (
  SELECT job_id, priority, turn_at, lease_until IS NOT NULL AS expired
  FROM zipmodule.job
  WHERE pending
    AND due_at <= statement_timestamp()
    AND (lease_until IS NULL OR lease_until < statement_timestamp())
  ORDER BY priority DESC, turn_at, job_id
  LIMIT $5::bigint
  FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
  UPDATE zipmodule.job
  SET lease_token = job.lease_token + 1,
      -- A cancelled job is only here for the link of what was built before.
      lease_revision = CASE WHEN job.cancelled_revision = job.wanted_revision THEN job.built_revision
                            ELSE job.wanted_revision END,
      lease_until = statement_timestamp() + make_interval(secs => $4::double precision),
      lease_by = $3,
      lease_host = $2,
      lease_run = $1::bigint,
      lease_attempt = job.claims + 1,
      lease_claimed_at = statement_timestamp(),
      lease_published_at = job.published_at,
      claims = job.claims + 1,
      progress = 0
  FROM due
  WHERE job.job_id = due.job_id AND NOT due.expired
  RETURNING job.*
)
SELECT due.job_id, due.expired, claimed.lease_token, claimed.lease_revision, claimed.series, claimed.archive,
       claimed.files, claimed.metadata, claimed.on_missing, claimed.level, claimed.lease_attempt AS attempt,
       claimed.built_revision, build.build_id, build.path, build.bytes, build.entries, build.fingerprint, build.mtime_ns,
       nullif(build.instance, claimed.lease_by) AS elsewhere
FROM due
LEFT JOIN claimed ON claimed.job_id = due.job_id
LEFT JOIN zipmodule.build ON build.build_id = claimed.build_id
ORDER BY due.priority DESC, due.turn_at, due.job_id
