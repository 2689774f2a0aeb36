-- $1 array of job ids that were claimed just now.
INSERT INTO zipmodule.lane_lease (job_id, token, lane)
SELECT job_id, lease_token, lane FROM zipmodule.job WHERE job_id = ANY ($1::bigint[])
ON CONFLICT (job_id) DO UPDATE SET token = EXCLUDED.token, lane = EXCLUDED.lane
