-- $1 seconds. Notes that tables are pruned now; one row if nobody, on any host, has done so for that long, none otherwise.
UPDATE zipmodule.upkeep
SET pruned_at = statement_timestamp()
WHERE (pruned_at BETWEEN statement_timestamp() - make_interval(secs => $1::double precision) AND statement_timestamp())
      IS NOT TRUE
RETURNING pruned_at
