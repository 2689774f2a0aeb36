-- $1 build_id, $2 target. Returns how often it was disputed so far, where the build is its job's current one and wanted there;
-- else no row.
SELECT delivery.disputed
FROM zipmodule.delivery
JOIN zipmodule.job ON job.job_id = delivery.job_id AND job.build_id = delivery.build_id
WHERE delivery.build_id = $1 AND delivery.target = $2 AND delivery.retired_at IS NULL
