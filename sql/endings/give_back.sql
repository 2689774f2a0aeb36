-- Ends leases without judging the attempt.
, judged AS MATERIALIZED (
  SELECT item.*,
         leased AS held,
         CASE WHEN leased THEN 'retry' WHEN cancelled THEN 'cancelled' ELSE 'lost' END AS verdict
  FROM item
), given_back AS (
  UPDATE zipmodule.job
  SET lease_until = NULL, progress = 0
  FROM judged
  WHERE held AND job.ctid = judged.place
)
