-- $1 array of zipmodule.attempt whose jobs are locked, $2 max_attempts. Ends leases that came to no build. Returns i, held
-- and outcome. Only a failure of the wanted revision counts: a newer one starts afresh, when its publish made it due. What
-- is built and only wants its link is never given up.
WITH item AS MATERIALIZED (
  SELECT * FROM jsonb_populate_recordset(NULL::zipmodule.attempt, $1::jsonb)
), mine AS MATERIALIZED (
  SELECT item.i, item.job_id, item.error_kind, left(item.error, 4000) AS error, item.outcome, item.retry_after,
         newest.is_it, newest.tries,
         newest.is_it
           AND item.revision > job.built_revision
           AND (NOT item.retryable OR (item.counts AND newest.tries >= $2::integer)) AS gives_up
  FROM item
  JOIN zipmodule.job ON job.job_id = item.job_id
  CROSS JOIN LATERAL (
    SELECT item.revision = job.wanted_revision OR item.revision <= job.built_revision AS is_it,
           job.attempts + CASE WHEN item.counts AND item.revision = job.wanted_revision THEN 1 ELSE 0 END AS tries
  ) AS newest
  WHERE job.lease_token = item.token AND job.lease_until IS NOT NULL
), ended AS (
  UPDATE zipmodule.job
  SET lease_until = NULL,
      progress = 0,
      losses = 0,
      attempts = mine.tries,
      pending = NOT mine.gives_up,
      due_at = CASE
                 WHEN mine.gives_up OR NOT mine.is_it THEN job.due_at
                 ELSE statement_timestamp() + make_interval(secs => coalesce(
                        mine.retry_after,
                        least(10 * 2 ^ least(greatest(mine.tries - 1, 0), 20), 3600) * (1 + 0.1 * random())))
               END,
      last_error_kind = CASE WHEN mine.is_it THEN mine.error_kind ELSE job.last_error_kind END,
      last_error = CASE WHEN mine.is_it THEN mine.error ELSE job.last_error END
  FROM mine
  WHERE job.job_id = mine.job_id
)
SELECT item.i,
       mine.i IS NOT NULL AS held,
       CASE
         WHEN mine.i IS NULL AND job.lease_token = item.token AND job.cancelled_revision >= item.revision THEN 'cancelled'
         WHEN mine.i IS NULL THEN 'lost'
         WHEN mine.outcome IN ('skipped', 'cancelled') THEN mine.outcome
         WHEN mine.gives_up THEN 'failed'
         ELSE 'retry'
       END AS outcome
FROM item
LEFT JOIN mine ON mine.i = item.i
LEFT JOIN zipmodule.job ON job.job_id = item.job_id
