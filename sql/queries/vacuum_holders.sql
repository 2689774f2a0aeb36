-- $1 seconds, $2 transactions. Returns what holds vacuum back for longer, or by more, the oldest first.
SELECT kind, name, usename, application, seconds, transactions
FROM zipmodule.vacuum_holders()
WHERE seconds > $1::double precision OR (seconds IS NULL AND transactions > $2::bigint)
ORDER BY seconds DESC NULLS LAST, transactions DESC, name
