-- $1 instance, $2 target, $3 array of builds that are on their way there, $4 most, $5 grace in seconds. Returns copies to be
-- removed from there, oldest first.
SELECT build_id, job_id, series, archive, bytes
FROM zipmodule.delivery
WHERE instance = $1
  AND target = $2
  AND retired_at < statement_timestamp() - make_interval(secs => $5::double precision)
  AND due_at <= statement_timestamp()  -- one that could not be removed waits
  AND build_id <> ALL ($3::text[])
ORDER BY retired_at
LIMIT $4::bigint
