-- $1 instance, $2 seconds after which it is lost unless seen again.
UPDATE zipmodule.instance
SET seen_at = statement_timestamp(), silent_at = statement_timestamp() + make_interval(secs => $2::double precision)
WHERE instance = $1
