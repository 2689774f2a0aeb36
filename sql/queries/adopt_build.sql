-- $1 build_id, $2 instance, $3 series, $4 archive, $5 bytes, $6 entries, $7 fingerprint, $8 mtime_ns. A build that a public name leads
-- to and that the database does not know becomes its job's current one, as after a restored dump: what was built since is
-- neither removed nor replaced. Not where the current one, maybe of another store, is newer. The revision jumps beyond all that the lost rows may have had. Returns job_id where there is
-- such a job.
WITH target AS MATERIALIZED (
  SELECT job_id, build_id AS before, greatest(wanted_revision, built_revision) + 1000 AS revision
  FROM zipmodule.job
  WHERE series = $3 AND archive = $4
    AND NOT EXISTS (SELECT FROM zipmodule.build WHERE build.build_id = $1)
    AND NOT EXISTS (SELECT FROM zipmodule.build WHERE build.build_id = job.build_id AND build.mtime_ns >= $8::bigint)
  FOR NO KEY UPDATE
), stored AS (
  INSERT INTO zipmodule.build (build_id, job_id, instance, revision, bytes, entries, fingerprint, mtime_ns)
  SELECT $1, job_id, $2, revision, $5::bigint, $6::bigint, $7, $8::bigint FROM target
), retired AS (
  UPDATE zipmodule.build
  SET retired_at = statement_timestamp()
  FROM target
  WHERE build.build_id = target.before AND build.retired_at IS NULL
)
UPDATE zipmodule.job
SET wanted_revision = target.revision,
    built_revision = target.revision,
    linked_revision = target.revision,
    build_id = $1,
    pending = false,
    lease_until = NULL,
    progress = 0,
    attempts = 0,
    claims = 0,
    losses = 0,
    last_error_kind = NULL,
    last_error = NULL
FROM target
WHERE job.job_id = target.job_id
RETURNING job.job_id
