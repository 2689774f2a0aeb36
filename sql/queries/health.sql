-- Returns how many jobs are in each state, how long the oldest due one waits, how many copies are to be delivered and since
-- when the oldest of them, the newest run, the server's version.
SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'waiting') AS waiting,
       count(*) FILTER (WHERE state = 'running') AS running,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE state = 'delivering') AS delivering,
       count(*) FILTER (WHERE state = 'done') AS done,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
       coalesce(extract(epoch FROM statement_timestamp() - min(due_at) FILTER (WHERE state = 'pending')), 0)
         ::double precision AS oldest_due_seconds,
       (SELECT count(*) FROM zipmodule.delivery WHERE delivered_at IS NULL AND retired_at IS NULL) AS undelivered,
       (SELECT coalesce(extract(epoch FROM statement_timestamp() - min(created_at)), 0)::double precision
        FROM zipmodule.delivery
        WHERE delivered_at IS NULL AND retired_at IS NULL) AS oldest_delivery_seconds,
       (SELECT row_to_json(run) FROM zipmodule.run ORDER BY run_id DESC LIMIT 1) AS last_run,
       current_setting('server_version_num') AS server_version
FROM zipmodule.job_facts
