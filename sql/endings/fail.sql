-- beside: max_attempts. Ends leases that came to no build. Only a failure of the wanted revision counts: a newer one starts
-- afresh, when its publish made it due. What is built and only wants its link is never given up.
, judged AS MATERIALIZED (
  SELECT item.*,
         leased AS held,
         is_it,
         tries,
         gives_up,
         CASE
           WHEN NOT leased THEN CASE WHEN cancelled THEN 'cancelled' ELSE 'lost' END
           WHEN outcome IN ('skipped', 'cancelled') THEN outcome
           WHEN gives_up THEN 'failed'
           ELSE 'retry'
         END AS verdict
  FROM given
  CROSS JOIN item
  CROSS JOIN LATERAL (
    SELECT item.revision = item.wanted_revision,
           item.attempts + CASE WHEN item.counts AND item.revision = item.wanted_revision THEN 1 ELSE 0 END
  ) AS newest_of(is_it, tries)
  CROSS JOIN LATERAL (
    SELECT is_it
           AND item.revision > item.built_revision
           AND (NOT item.retryable OR (item.counts AND tries >= beside::integer))
  ) AS ends(gives_up)
), failed AS (
  UPDATE zipmodule.job
  SET lease_until = NULL,
      progress = 0,
      losses = 0,
      attempts = tries,
      pending = NOT gives_up,
      due_at = CASE
                 WHEN gives_up OR NOT is_it THEN job.due_at
                 ELSE statement_timestamp() + make_interval(secs => coalesce(
                        retry_after,
                        least(10 * 2 ^ least(greatest(tries - 1, 0), 20), 3600) * (1 + 0.1 * random())))
               END,
      last_error_kind = CASE WHEN is_it THEN error_kind ELSE job.last_error_kind END,
      last_error = CASE WHEN is_it THEN left(error, 4000) ELSE job.last_error END
  FROM judged
  WHERE held AND job.ctid = judged.place
)
