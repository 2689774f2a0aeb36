-- Claims of workers that cap their lanes follow one another: until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('zipmodule.lane_lease', 0))
