-- $1 instance, $2 seconds until the next look for builds that the database does not know; null: after a run that did not end
-- by itself.
UPDATE zipmodule.instance
SET sweep_at = statement_timestamp() + make_interval(secs => $2::double precision)
WHERE instance = $1
