-- $1 series, $2 archive. Returns whether something was pending.
SELECT zipmodule.cancel($1, $2)
