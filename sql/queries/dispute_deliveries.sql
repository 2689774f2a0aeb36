-- $1 instance, whose last run did not end by itself: it may have switched the link of a build that is retired by now, and not told.
-- What is current there is switched to once more.
UPDATE zipmodule.delivery AS current
SET delivered_at = NULL, due_at = statement_timestamp(), disputed = current.disputed + 1
FROM zipmodule.delivery AS old
WHERE old.instance = $1 AND old.retired_at IS NOT NULL
  AND current.job_id = old.job_id AND current.target = old.target
  AND current.build_id <> old.build_id
  AND current.retired_at IS NULL
