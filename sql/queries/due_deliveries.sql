-- $1 instance, $2 target, $3 array of builds that are on their way there, $4 most. Returns what is to be delivered next, what
-- has been due longest first.
SELECT delivery.build_id, delivery.job_id, delivery.series, delivery.archive, delivery.path, delivery.bytes
FROM zipmodule.delivery
JOIN zipmodule.job ON job.job_id = delivery.job_id AND job.build_id = delivery.build_id
WHERE delivery.instance = $1
  AND delivery.target = $2
  AND delivery.delivered_at IS NULL AND delivery.retired_at IS NULL
  AND delivery.due_at <= statement_timestamp()
  AND delivery.build_id <> ALL ($3::text[])
ORDER BY delivery.due_at
LIMIT $4::bigint
