-- $1 most, $2 store. Returns what claim would, with the token and attempt it would give, and changes nothing.
SELECT job.job_id, job.lease_token + 1 AS lease_token,
       CASE WHEN job.cancelled_revision = job.wanted_revision THEN job.built_revision
            ELSE job.wanted_revision END AS lease_revision,
       job.series, job.archive, job.files, job.metadata, job.on_missing, job.level, array_to_string(job.deliver, ',') AS deliver, job.claims + 1 AS attempt,
       job.built_revision, build.build_id, build.bytes, build.entries, build.fingerprint, build.mtime_ns,
       NULL AS elsewhere
FROM zipmodule.job
LEFT JOIN zipmodule.build ON build.build_id = job.build_id
WHERE job.pending
  AND job.due_at <= statement_timestamp()
  AND (job.lease_until IS NULL OR job.lease_until < statement_timestamp())
  AND (job.store IS NULL OR job.store = $2)
ORDER BY job.priority DESC, job.turn, job.job_id
LIMIT $1::bigint
