-- $1 instance, $2 target, $3 array of builds that are on their way there, $4 most. Returns what is to be delivered next: what has
-- been due longest first, but old stock behind all that is new. Nothing while the target rests, because one that was tried found
-- it away, full or closed.
SELECT delivery.build_id, delivery.job_id, delivery.series, delivery.archive, delivery.bytes
FROM zipmodule.delivery
-- OFFSET 0: looked up by its key, for as many as are asked for.
CROSS JOIN LATERAL (
  SELECT FROM zipmodule.job WHERE job.job_id = delivery.job_id AND job.build_id = delivery.build_id OFFSET 0
) AS current
WHERE delivery.instance = $1
  AND delivery.target = $2
  AND delivery.delivered_at IS NULL AND delivery.retired_at IS NULL
  AND delivery.due_at <= statement_timestamp()
  AND delivery.build_id <> ALL ($3::text[])
  AND NOT EXISTS (
    SELECT
    FROM zipmodule.delivery AS tried
    WHERE tried.instance = $1
      AND tried.target = $2
      AND tried.delivered_at IS NULL AND tried.retired_at IS NULL
      AND tried.due_at > statement_timestamp()
      AND tried.last_error_kind IN ('target_unreachable', 'target_refused', 'target_unwritable'))
ORDER BY delivery.backlog, delivery.due_at
LIMIT $4::bigint
