-- $1 instance, $2 build_id to start after, $3 most. Returns current builds of the instance in build_id order.
SELECT build.build_id, build.bytes, build.entries, build.fingerprint, build.mtime_ns, job.job_id, job.series,
       job.archive, job.built_revision > job.linked_revision AS awaits_link
FROM zipmodule.build JOIN zipmodule.job ON job.build_id = build.build_id AND job.job_id = build.job_id
WHERE build.instance = $1 AND build.build_id > $2
ORDER BY build.build_id
LIMIT $3::bigint
