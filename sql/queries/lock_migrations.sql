-- One migrate at a time, until the transaction ends. The number is 'zipm' in ASCII.
SELECT pg_advisory_xact_lock(2053730413)
