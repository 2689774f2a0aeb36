-- $1 run_id, $2 host, $3 instance, $4 lease in seconds, $5 array of job ids, locked by the caller, $6 to $8 the highest
-- turns that were picked in order, of priorities below, at and above 0. Claims these and returns them, best first; moves
-- the queue's virtual time to those turns.
WITH claimed AS (
  UPDATE zipmodule.job
  SET lease_token = lease_token + 1,
      -- A cancelled job is only here for the link of what was built before.
      lease_revision = CASE WHEN cancelled_revision = wanted_revision THEN built_revision ELSE wanted_revision END,
      lease_until = statement_timestamp() + make_interval(secs => $4::double precision),
      lease_by = $3,
      lease_host = $2,
      lease_run = $1::bigint,
      lease_attempt = claims + 1,
      lease_claimed_at = statement_timestamp(),
      lease_published_at = published_at,
      lease_deliver = deliver,
      claims = claims + 1,
      progress = 0
  WHERE job_id = ANY ($5::bigint[])
    -- A dump that was restored meanwhile knows another run as the newest, or none: this one claims nothing any more.
    AND EXISTS (SELECT FROM zipmodule.instance WHERE instance.instance = $3 AND instance.run_id = $1::bigint)
  RETURNING *
)
SELECT claimed.job_id, claimed.lease_token, claimed.lease_revision, claimed.series, claimed.archive, claimed.files,
       claimed.metadata, claimed.on_missing, claimed.level, array_to_string(claimed.deliver, ',') AS deliver, claimed.lease_attempt AS attempt, claimed.built_revision,
       build.build_id, build.bytes, build.entries, build.fingerprint, build.mtime_ns,
       CASE WHEN build.instance <> claimed.lease_by THEN
         coalesce((SELECT host FROM zipmodule.instance WHERE instance.instance = build.instance), 'another host')
       END AS elsewhere,
       (SELECT setval('zipmodule.served_low', $6::bigint) FROM zipmodule.served_low WHERE last_value < $6::bigint),
       (SELECT setval('zipmodule.served_normal', $7::bigint) FROM zipmodule.served_normal WHERE last_value < $7::bigint),
       (SELECT setval('zipmodule.served_high', $8::bigint) FROM zipmodule.served_high WHERE last_value < $8::bigint)
FROM claimed
-- OFFSET 0: looked up by its key, and only where there is one.
LEFT JOIN LATERAL (
  SELECT * FROM zipmodule.build WHERE build.build_id = claimed.build_id OFFSET 0
) AS build ON true
ORDER BY claimed.priority DESC, claimed.turn, claimed.job_id
