-- $1 build_id, $2 target. Returns whether the build is its job's current one still, and wanted there.
SELECT EXISTS (
  SELECT
  FROM zipmodule.delivery
  JOIN zipmodule.job ON job.job_id = delivery.job_id AND job.build_id = delivery.build_id
  WHERE delivery.build_id = $1 AND delivery.target = $2 AND delivery.retired_at IS NULL
)
