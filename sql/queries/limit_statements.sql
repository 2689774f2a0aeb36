-- $1 milliseconds. Ends the statements of this transaction that take longer.
SELECT set_config('statement_timeout', $1, true)
