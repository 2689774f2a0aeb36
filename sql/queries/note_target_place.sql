-- $1 target, $2 place, $3 id in its marker.
INSERT INTO zipmodule.target_place (target, place, marker_id) VALUES ($1, $2, $3)
ON CONFLICT (target, place) DO UPDATE SET marker_id = EXCLUDED.marker_id, seen_at = statement_timestamp()
