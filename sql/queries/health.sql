-- Returns how many jobs are in each state, how long the oldest due one waits, how many copies are to be delivered and since
-- when the oldest of them, the newest run, the server's version.
WITH undelivered AS MATERIALIZED (
  SELECT delivery.created_at
  FROM zipmodule.delivery
  JOIN zipmodule.job ON job.job_id = delivery.job_id AND job.build_id = delivery.build_id
  WHERE delivery.delivered_at IS NULL AND delivery.retired_at IS NULL
)
SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'waiting') AS waiting,
       count(*) FILTER (WHERE state = 'running') AS running,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE state = 'delivering') AS delivering,
       count(*) FILTER (WHERE state = 'done') AS done,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
       coalesce(extract(epoch FROM statement_timestamp() - min(due_at) FILTER (WHERE state = 'pending')), 0)
         ::double precision AS oldest_due_seconds,
       (SELECT count(*) FROM undelivered) AS undelivered,
       (SELECT coalesce(extract(epoch FROM statement_timestamp() - min(created_at)), 0)::double precision
        FROM undelivered) AS oldest_delivery_seconds,
       (SELECT row_to_json(run) FROM zipmodule.run ORDER BY run_id DESC LIMIT 1) AS last_run,
       current_setting('server_version_num') AS server_version
FROM zipmodule.job_facts
