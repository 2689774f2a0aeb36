-- $1 build_id, $2 modification time in nanoseconds.
UPDATE zipmodule.build SET mtime_ns = $2::bigint WHERE build_id = $1
