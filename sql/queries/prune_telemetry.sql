-- $1 keep in seconds, $2 id to begin behind, $3 most. Returns last, the last id looked at or null, and pruned.
SELECT last, pruned FROM zipmodule.prune_telemetry(make_interval(secs => $1::double precision), $2::bigint, $3::integer)
