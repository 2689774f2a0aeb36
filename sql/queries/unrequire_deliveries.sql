-- $1 instance, $2 names of its targets. Nobody waits for a target that is no longer named.
UPDATE zipmodule.delivery SET required = false WHERE instance = $1 AND required AND target <> ALL ($2::text[])
