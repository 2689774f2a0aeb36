-- $1 series or null, $2 archive or null, $3 most. Returns job_status with times in ISO 8601.
SELECT job_id, series, archive, lane, state, priority, wanted_revision, built_revision,
       to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS published_at,
       to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS due_at,
       attempts, progress, queue_position, path, bytes, entries, fingerprint, last_error_kind, last_error, metadata
FROM zipmodule.job_status
WHERE ($1::text IS NULL OR series = $1) AND ($2::text IS NULL OR archive = $2)
ORDER BY series, archive
LIMIT $3::bigint
