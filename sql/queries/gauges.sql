-- $1 host, null: all. Returns how many jobs are pending, waiting, running and failed, how long the oldest due and the oldest
-- unbuilt one wait, how many copies are to be delivered and since when the oldest of them, how long ago the host's last run
-- ended well, null if none did, when that was, how many stores with current builds no run has seen for an hour, and whether the
-- host ever ran. One pass over job, without the builds and texts
-- that status shows; `failed` can have no index, because every commit would have to change it.
WITH good AS MATERIALIZED (
  SELECT finished_at
  FROM zipmodule.run
  WHERE outcome IN ('done', 'timeout') AND ($1::text IS NULL OR host = $1)
  ORDER BY run_id DESC
  LIMIT 1
), undelivered AS MATERIALIZED (
  SELECT delivery.created_at
  FROM zipmodule.delivery
  JOIN zipmodule.job ON job.job_id = delivery.job_id AND job.build_id = delivery.build_id
  WHERE delivery.delivered_at IS NULL AND delivery.retired_at IS NULL
)
SELECT count(*) FILTER (WHERE pending AND NOT leased AND due_at <= statement_timestamp()) AS due,
       count(*) FILTER (WHERE pending AND NOT leased AND due_at > statement_timestamp()) AS waiting,
       count(*) FILTER (WHERE leased) AS running,
       count(*) FILTER (WHERE NOT pending AND built_revision < wanted_revision AND cancelled_revision <> wanted_revision)
         AS failed,
       coalesce(extract(epoch FROM statement_timestamp() - min(due_at) FILTER (
         WHERE pending AND NOT leased AND due_at <= statement_timestamp())), 0)::double precision AS oldest_due_seconds,
       coalesce(extract(epoch FROM statement_timestamp() - min(pending_since) FILTER (WHERE pending)), 0)::double precision
         AS oldest_pending_seconds,
       (SELECT count(*) FROM undelivered) AS undelivered,
       (SELECT coalesce(extract(epoch FROM statement_timestamp() - min(created_at)), 0)::double precision
        FROM undelivered) AS oldest_delivery_seconds,
       extract(epoch FROM statement_timestamp() - (SELECT finished_at FROM good))::double precision AS success_seconds,
       extract(epoch FROM (SELECT finished_at FROM good))::double precision AS success_at,
       (SELECT count(*)
        FROM zipmodule.hosts
        WHERE seen_at < statement_timestamp() - interval '1 hour' AND builds > 0)
         AS unseen_stores,
       $1::text IS NULL OR EXISTS (SELECT FROM zipmodule.hosts WHERE host = $1) AS host_known
FROM (
  SELECT pending, due_at, pending_since, built_revision, wanted_revision, cancelled_revision,
         coalesce(lease_until >= statement_timestamp(), false) AS leased
  FROM zipmodule.job
) AS job
