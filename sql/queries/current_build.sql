-- $1 job_id. Returns the current build of the job, if it has one.
SELECT build.build_id, build.bytes, build.entries, build.fingerprint, build.mtime_ns, job.job_id, job.series,
       job.archive, job.built_revision > job.linked_revision AS awaits_link
FROM zipmodule.job JOIN zipmodule.build ON build.build_id = job.build_id
WHERE job.job_id = $1::bigint
