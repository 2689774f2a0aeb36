-- Returns live and dead rows of the hot table, as the server counts them, its size, and when it was last vacuumed, if ever.
SELECT n_live_tup AS live,
       n_dead_tup AS dead,
       pg_total_relation_size(relid) AS bytes,
       extract(epoch FROM statement_timestamp() - greatest(last_vacuum, last_autovacuum))::double precision AS vacuumed_seconds
FROM pg_stat_user_tables
WHERE relid = 'zipmodule.job'::regclass
