-- $1 series, $2 archive. Returns the job_status of one job with times in ISO 8601.
SELECT job_id, series, archive, lane, state, priority, wanted_revision, built_revision,
       to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS published_at,
       to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS due_at,
       attempts, progress, queue_position, path, bytes, entries, fingerprint, last_error_kind, last_error, metadata
FROM zipmodule.status($1, $2)
