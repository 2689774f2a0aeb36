-- $1 job_id, $2 most. Returns rows of telemetry as JSON, newest first.
SELECT row_to_json(telemetry) FROM zipmodule.telemetry WHERE job_id = $1::bigint ORDER BY id DESC LIMIT $2::bigint
