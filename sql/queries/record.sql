-- $1 array of zipmodule.attempt with the outcome the database decided, $2 run_id, $3 host. One row of telemetry each,
-- unless there is one for that lease. Times of a lease come from its job; where a newer lease has taken these over, they
-- stay null.
INSERT INTO zipmodule.telemetry (
  run_id, job_id, lease_token, host, series, archive, revision, attempt, outcome, error_kind, error,
  published_at, claimed_at, started_at, wait_seconds, build_seconds, total_seconds,
  plan_seconds, read_seconds, compress_seconds, write_seconds, sync_seconds, commit_seconds,
  files, files_reused, files_missing, bytes_in, bytes_out, cpu_seconds, missing)
SELECT $2::bigint, item.job_id, item.token, $3, job.series, job.archive, item.revision, lease.attempt, item.outcome,
       coalesce(nullif(item.error_kind, ''),
                CASE item.outcome WHEN 'lost' THEN 'lease_lost' WHEN 'cancelled' THEN 'cancelled' END),
       nullif(left(item.error, 4000), ''),
       lease.published_at, lease.claimed_at, started.at,
       extract(epoch FROM started.at - lease.published_at), item.build_seconds,
       extract(epoch FROM statement_timestamp() - lease.published_at),
       item.plan_seconds, item.read_seconds, item.compress_seconds, item.write_seconds, item.sync_seconds,
       item.commit_seconds, item.files, item.files_reused, item.files_missing, item.bytes_in, item.bytes_out,
       item.cpu_seconds, item.missing
FROM jsonb_populate_recordset(NULL::zipmodule.attempt, $1::jsonb) AS item
-- OFFSET 0: looked up by key, see commit.sql
CROSS JOIN LATERAL (
  SELECT series, archive, lease_token, lease_attempt, lease_published_at, lease_claimed_at
  FROM zipmodule.job WHERE job.job_id = item.job_id OFFSET 0
) AS job
LEFT JOIN LATERAL (
  SELECT job.lease_attempt AS attempt, job.lease_published_at AS published_at, job.lease_claimed_at AS claimed_at
  WHERE job.lease_token = item.token
) AS lease ON true
-- The worker tells durations only, its clock may be wrong; an attempt can't have begun before its claim.
CROSS JOIN LATERAL (
  SELECT greatest(lease.claimed_at, statement_timestamp()
                                    - make_interval(secs => item.build_seconds + item.commit_seconds)) AS at
) AS started
ON CONFLICT (job_id, lease_token) DO NOTHING
