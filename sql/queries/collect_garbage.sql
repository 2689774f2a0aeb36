-- $1 instance, $2 grace in seconds, $3 most. Marks retired builds as deleting and returns them. While a job's newest
-- build is not linked yet, or it has none, its public name may still lead to an older one: those stay.
WITH old AS MATERIALIZED (
  SELECT build.build_id, job.series, job.archive
  FROM zipmodule.build JOIN zipmodule.job ON job.job_id = build.job_id
  WHERE build.instance = $1
    AND build.retired_at < statement_timestamp() - make_interval(secs => $2::double precision)
    AND job.built_revision <= job.linked_revision
    AND job.build_id IS NOT NULL
  ORDER BY build.retired_at
  LIMIT $3::bigint
  FOR UPDATE OF build SKIP LOCKED
)
UPDATE zipmodule.build
SET deleting_at = coalesce(build.deleting_at, statement_timestamp())
FROM old
WHERE build.build_id = old.build_id
RETURNING build.build_id, build.bytes, build.entries, build.fingerprint, build.mtime_ns, build.job_id,
          old.series, old.archive, false AS awaits_link
