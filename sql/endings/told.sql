-- One row of telemetry each, unless there is one for that lease. Times of a lease come from its job; where a newer lease has
-- taken these over, they stay null.
, told AS (
  INSERT INTO zipmodule.telemetry (
    run_id, job_id, lease_token, host, series, archive, revision, attempt, outcome, error_kind, error,
    published_at, claimed_at, started_at, wait_seconds, build_seconds, total_seconds,
    plan_seconds, read_seconds, compress_seconds, write_seconds, sync_seconds, commit_seconds,
    files, files_reused, files_missing, bytes_in, bytes_out, cpu_seconds, missing, files_excluded)
  SELECT given.run_id, job_id, token, given.host, series, archive, revision, lease.attempt, verdict,
         coalesce(error_kind, CASE verdict WHEN 'lost' THEN 'lease_lost' WHEN 'cancelled' THEN 'cancelled' END),
         left(error, 4000),
         lease.published_at, lease.claimed_at, started.at,
         extract(epoch FROM started.at - lease.published_at), build_seconds,
         extract(epoch FROM statement_timestamp() - lease.published_at),
         plan_seconds, read_seconds, compress_seconds, write_seconds, sync_seconds, commit_seconds,
         files, files_reused, files_missing, bytes_in, bytes_out, cpu_seconds, missing, files_excluded
  FROM given
  CROSS JOIN judged
  LEFT JOIN LATERAL (
    SELECT lease_attempt AS attempt, lease_published_at AS published_at, lease_claimed_at AS claimed_at WHERE newest
  ) AS lease ON true
  -- The worker tells durations only, its clock may be wrong; an attempt can't have begun before its claim.
  CROSS JOIN LATERAL (
    SELECT greatest(lease.claimed_at, statement_timestamp() - make_interval(secs => build_seconds + commit_seconds)) AS at
  ) AS started
  -- Whoever writes the row of an attempt has its job locked, and a batch has one item a job: nobody can come in between,
  -- and to look costs less than ON CONFLICT.
  WHERE NOT EXISTS (SELECT FROM zipmodule.telemetry WHERE telemetry.job_id = judged.job_id AND telemetry.lease_token = token
                    OFFSET 0)
)
