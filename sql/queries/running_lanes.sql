-- Forgets what does not run any more. Returns how many jobs of each lane run.
WITH running AS MATERIALIZED (
  SELECT lane_lease.job_id, lane_lease.lane
  FROM zipmodule.lane_lease
  JOIN zipmodule.job ON job.job_id = lane_lease.job_id
  WHERE job.lease_token = lane_lease.token AND job.lease_until IS NOT NULL
), gone AS (
  DELETE FROM zipmodule.lane_lease WHERE job_id NOT IN (SELECT job_id FROM running)
)
SELECT lane, count(*) AS jobs FROM running GROUP BY lane
