-- $1 keep in seconds, $2 id to begin behind, $3 most. Returns last, the last id looked at or null, pruned and done.
SELECT last, pruned, done FROM zipmodule.prune_telemetry(make_interval(secs => $1::double precision), $2::bigint, $3::integer)
