-- $1 instance or empty. Returns the other stores that have current builds, for people.
SELECT format('%s of host %s, last seen %s', path, host, to_char(seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'))
FROM zipmodule.instance
WHERE instance <> $1
  AND EXISTS (SELECT FROM zipmodule.build WHERE build.instance = instance.instance AND build.retired_at IS NULL)
ORDER BY seen_at DESC NULLS LAST
LIMIT 5
