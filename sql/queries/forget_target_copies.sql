-- $1 instance, $2 target, whose place is another one now. All that is current goes there again, behind what is new.
UPDATE zipmodule.delivery
SET delivered_at = NULL, due_at = statement_timestamp(), attempts = 0, backlog = true
WHERE instance = $1 AND target = $2 AND retired_at IS NULL
