-- How a statement that ends attempts begins: attempts.sql, then commit.sql, release.sql, fail.sql or give_back.sql, which
-- judge them, then told.sql where there is something to tell, then answered.sql.
-- $1 array of zipmodule.attempt whose jobs are locked, $2 what the ending needs beside, or null, $3 run_id, $4 host.
--
-- OFFSET 0: each job is looked up by its key. Joined, the planner takes leases for as rare as the last ANALYZE found them,
-- reads all of the table, and compares every held job with every item. An ending updates jobs by their place: locked, they
-- stay where they are.
WITH given AS (
  SELECT $2::text AS beside, $3::bigint AS run_id, $4::text AS host
), item AS (
  SELECT attempt.*,
         job.lease_token = attempt.token AND job.lease_until IS NOT NULL AS leased,
         job.lease_token = attempt.token AND job.cancelled_revision >= attempt.revision AS cancelled,
         job.lease_token = attempt.token AS newest,
         job.place, job.series, job.archive, job.wanted_revision, job.built_revision, job.build_id AS current_build,
         job.attempts, job.lease_revision, job.lease_attempt, job.lease_published_at, job.lease_claimed_at,
         job.lease_deliver
  FROM unnest($1::zipmodule.attempt[]) AS attempt
  CROSS JOIN LATERAL (
    SELECT ctid AS place, series, archive, wanted_revision, cancelled_revision, built_revision, build_id, attempts,
           lease_token, lease_until, lease_revision, lease_attempt, lease_published_at, lease_claimed_at,
           lease_deliver
    FROM zipmodule.job WHERE job.job_id = attempt.job_id OFFSET 0
  ) AS job
)
