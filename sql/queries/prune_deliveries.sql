-- $1 keep in seconds, $2 most. Returns how many rows went.
SELECT zipmodule.prune_deliveries(make_interval(secs => $1::double precision), $2::integer)
