-- $1 array of job ids, locked by the caller, whose holders are gone, $2 max_attempts. Ends these leases: telemetry 'lost'
-- unless the attempt was committed, due at once after the first two losses in a row, then after a growing pause, failed
-- after 4 x max_attempts. What is built and only wants its link is never failed. Returns job_id.
WITH gone AS MATERIALIZED (
  SELECT job.*,
         job.losses + 1 >= 4 * $2::integer
           AND job.built_revision < job.wanted_revision
           AND job.lease_revision > job.built_revision AS gives_up
  FROM zipmodule.job
  WHERE job_id = ANY ($1::bigint[]) AND lease_until IS NOT NULL
), told AS (
  INSERT INTO zipmodule.telemetry (run_id, job_id, lease_token, host, series, archive, revision, attempt, outcome,
                                   error_kind, error, published_at, claimed_at, total_seconds)
  SELECT lease_run, job_id, lease_token, lease_host, series, archive, lease_revision, lease_attempt, 'lost', 'lease_lost',
         format('a run on host %s stopped without ending this attempt; its lease ran to %s', lease_host, lease_until),
         lease_published_at, lease_claimed_at, extract(epoch FROM statement_timestamp() - lease_published_at)
  FROM gone
  ON CONFLICT (job_id, lease_token) DO NOTHING
)
UPDATE zipmodule.job
SET lease_until = NULL,
    progress = 0,
    losses = gone.losses + 1,
    pending = NOT gone.gives_up,
    due_at = CASE
               WHEN gone.losses < 2 OR gone.gives_up THEN gone.due_at
               ELSE statement_timestamp()
                    + make_interval(secs => least(5 * (gone.losses - 1), 60) * (1 + 0.2 * random()))
             END,
    last_error_kind = CASE WHEN gone.lease_revision > gone.built_revision THEN 'lease_lost' ELSE gone.last_error_kind END,
    last_error = CASE WHEN gone.lease_revision > gone.built_revision
                      THEN format('the run on host %s was lost %s times in a row while it built this', gone.lease_host,
                                  gone.losses + 1)
                      ELSE gone.last_error END
FROM gone
WHERE job.job_id = gone.job_id
RETURNING job.job_id
