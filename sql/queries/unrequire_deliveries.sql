-- $1 instance, $2 names of its targets. Nobody waits for a target that is no longer named, and nothing is to go there.
UPDATE zipmodule.delivery
SET required = false,
    retired_at = CASE WHEN delivered_at IS NULL THEN coalesce(retired_at, statement_timestamp()) ELSE retired_at END
WHERE instance = $1
  AND target <> ALL ($2::text[])
  AND (required OR (delivered_at IS NULL AND retired_at IS NULL))
