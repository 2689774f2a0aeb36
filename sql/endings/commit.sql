-- beside: instance. A revision that an earlier call has stored with the same build_id is held as well: then only the answer
-- to that call was lost. The build may be the job's current one, where nothing has changed since: it is of the new revision
-- then. One that was current once and is no longer is nobody's: an audit has found it damaged meanwhile, and made the job
-- due; the lease ends.
, judged AS MATERIALIZED (
  SELECT item.*,
         mine,
         item.leased AND NOT mine AND item.revision > item.built_revision AS useless,
         mine OR known.revision = item.revision IS TRUE AS held,
         CASE
           WHEN mine OR known.revision = item.revision THEN 'done'
           WHEN item.cancelled THEN 'cancelled'
           ELSE 'lost'
         END AS verdict
  FROM item
  LEFT JOIN LATERAL (
    SELECT revision FROM zipmodule.build WHERE build.build_id = item.build_id AND build.job_id = item.job_id OFFSET 0
  ) AS known ON true
  CROSS JOIN LATERAL (
    SELECT item.leased
           AND item.lease_revision = item.revision
           AND item.revision > item.built_revision
           AND (known.revision IS NULL OR item.build_id = item.current_build IS TRUE)
  ) AS ours(mine)
), freed AS (
  UPDATE zipmodule.job
  SET lease_until = NULL, progress = 0
  FROM judged
  WHERE useless AND job.ctid = judged.place
), retired AS (
  UPDATE zipmodule.build
  SET retired_at = statement_timestamp()
  FROM judged
  WHERE mine AND build.build_id = judged.current_build AND judged.current_build <> judged.build_id
), renewed AS (
  UPDATE zipmodule.build
  SET revision = judged.revision, deliver = judged.lease_deliver
  FROM judged
  WHERE mine AND build.build_id = judged.build_id AND judged.current_build = judged.build_id
), stored AS (
  INSERT INTO zipmodule.build (build_id, job_id, instance, revision, bytes, entries, fingerprint, mtime_ns,
                               deliver)
  SELECT build_id, job_id, beside, revision, bytes, entries, fingerprint, mtime_ns, lease_deliver
  FROM judged, given
  WHERE mine AND current_build IS DISTINCT FROM build_id
), built AS (
  UPDATE zipmodule.job
  SET built_revision = judged.revision,
      build_id = judged.build_id,
      progress = 1,
      losses = 0,
      attempts = CASE WHEN job.wanted_revision = judged.revision THEN 0 ELSE job.attempts END,
      last_error_kind = CASE WHEN job.wanted_revision = judged.revision THEN NULL ELSE job.last_error_kind END,
      last_error = CASE WHEN job.wanted_revision = judged.revision THEN NULL ELSE job.last_error END
  FROM judged
  WHERE mine AND job.ctid = judged.place
)
