-- $1 instance, $2 seconds for which publishes are to notify it; 0 for not at all.
UPDATE zipmodule.instance
SET listens_until = statement_timestamp() + make_interval(secs => nullif($2::double precision, 0))
WHERE instance = $1
