-- $1 target, $2 most. Returns builds that were delivered there.
SELECT build_id FROM zipmodule.delivery WHERE target = $1 AND delivered_at IS NOT NULL LIMIT $2::bigint
