-- $1 target, $2 place. Returns the database's id, and the id in the marker that was seen there, null: none yet.
SELECT database_id, marker_id
FROM zipmodule.identity
LEFT JOIN zipmodule.target_place ON target = $1 AND place = $2
