-- $1 instance, $2 names of its targets. What nobody will deliver any more: to targets that are no longer named, and builds that
-- are current no longer, where no commit has seen that.
UPDATE zipmodule.delivery
SET retired_at = statement_timestamp(), required = false
WHERE instance = $1
  AND delivered_at IS NULL AND retired_at IS NULL
  AND (target <> ALL ($2::text[])
       OR NOT EXISTS (SELECT FROM zipmodule.job
                      WHERE job.job_id = delivery.job_id AND job.build_id = delivery.build_id))
