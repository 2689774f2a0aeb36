-- Ends leases whose build is linked.
, judged AS MATERIALIZED (
  SELECT item.*,
         leased AS held,
         CASE WHEN leased THEN outcome WHEN cancelled THEN 'cancelled' ELSE 'lost' END AS verdict
  FROM item
), released AS (
  UPDATE zipmodule.job
  SET lease_until = NULL,
      linked_revision = job.built_revision,
      pending = job.wanted_revision > job.built_revision AND job.wanted_revision > job.cancelled_revision,
      losses = 0,
      progress = 0
  FROM judged
  WHERE held AND job.ctid = judged.place
)
