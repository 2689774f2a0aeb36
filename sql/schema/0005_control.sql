-- Takes back what is wanted and not yet built. True if there was something to take back. The last build stays, and where
-- it was committed but not linked yet the job stays pending for that link alone (built_revision > linked_revision).
CREATE FUNCTION zipmodule.cancel(series text, archive text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE zipmodule.job
  SET cancelled_revision = job.wanted_revision,
      pending = job.built_revision > job.linked_revision,
      -- A link does not wait for the quiet time of what was taken back.
      due_at = CASE WHEN job.built_revision > job.linked_revision THEN least(job.due_at, statement_timestamp())
                    ELSE job.due_at END,
      lease_until = CASE WHEN job.built_revision > job.linked_revision AND job.lease_revision = job.built_revision
                         THEN job.lease_until END
  WHERE job.series = cancel.series COLLATE "C"
    AND job.archive = cancel.archive COLLATE "C"
    AND job.pending
    AND job.built_revision < job.wanted_revision
    AND job.cancelled_revision < job.wanted_revision;
  RETURN FOUND;
END
$$;

-- Makes a failed, cancelled or waiting job due now, with all its attempts ahead. One that is built: its deliveries, those that wait
-- for their next try, and those that are there, which are looked at again. True if there was something to make due.
CREATE FUNCTION zipmodule.retry(series text, archive text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  moment constant timestamptz := statement_timestamp();
  found_job boolean;
BEGIN
  UPDATE zipmodule.job
  SET cancelled_revision = 0,
      pending = true,
      pending_since = CASE WHEN job.pending THEN job.pending_since ELSE moment END,
      turn = CASE WHEN job.pending THEN job.turn ELSE zipmodule.next_turn(job.lane, job.priority) END,
      window_at = CASE WHEN job.pending THEN job.window_at ELSE moment END,
      due_at = moment,
      attempts = 0,
      losses = 0
  WHERE job.series = retry.series COLLATE "C"
    AND job.archive = retry.archive COLLATE "C"
    AND ((NOT job.pending AND job.built_revision < job.wanted_revision)
         OR job.cancelled_revision = job.wanted_revision
         OR (job.pending AND job.due_at > moment AND (job.lease_until IS NULL OR job.lease_until < moment)));
  found_job := FOUND;
  -- What is there may have been taken away by hand: it is looked at again.
  UPDATE zipmodule.delivery
  SET delivered_at = NULL, due_at = moment
  FROM zipmodule.job
  WHERE job.series = retry.series COLLATE "C"
    AND job.archive = retry.archive COLLATE "C"
    AND NOT found_job
    AND delivery.build_id = job.build_id
    AND delivery.delivered_at IS NOT NULL AND delivery.retired_at IS NULL;
  found_job := found_job OR FOUND;
  -- A target that rests rests for all: what keeps it from being asked is made due, too.
  UPDATE zipmodule.delivery
  SET due_at = moment, attempts = 0
  FROM (
    SELECT waiting.instance, waiting.target
    FROM zipmodule.job JOIN zipmodule.delivery AS waiting ON waiting.build_id = job.build_id
    WHERE job.series = retry.series COLLATE "C"
      AND job.archive = retry.archive COLLATE "C"
      AND waiting.delivered_at IS NULL AND waiting.retired_at IS NULL
  ) AS its
  WHERE delivery.instance = its.instance AND delivery.target = its.target
    AND delivery.delivered_at IS NULL AND delivery.retired_at IS NULL
    AND delivery.due_at > moment;
  RETURN found_job OR FOUND;
END
$$;
