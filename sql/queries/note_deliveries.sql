-- $1 array of builds, $2 instance, $3 names of its targets, $4 which of these are required, $5 whether they were built before the
-- targets came, $6 where the targets are. Has each of these builds that is current delivered to the targets that its job wants. Copies that nobody has waited for, of older builds,
-- and those where the job no longer wants one, are retired; others go when the new one is there.
WITH target AS (
  SELECT name, required, place FROM unnest($3::text[], $4::boolean[], $6::text[]) AS target(name, required, place)
), made AS MATERIALIZED (
  SELECT build.build_id, build.job_id, build.bytes, job.series, job.archive, build.deliver
  FROM zipmodule.build
  JOIN zipmodule.job ON job.job_id = build.job_id AND job.build_id = build.build_id
  WHERE build.instance = $2 AND build.retired_at IS NULL AND build.build_id = ANY ($1::text[])
), noted AS (
  INSERT INTO zipmodule.delivery AS delivery (build_id, target, job_id, instance, series, archive, bytes, place,
                                              required, backlog)
  SELECT build_id, name, job_id, $2, series, archive, bytes, place, required, $5::boolean
  FROM made JOIN target ON made.deliver IS NULL OR target.name = ANY (made.deliver)
  -- A build that nothing has changed in stays where it is; one that had been taken away, or whose target is elsewhere now, goes
  -- there.
  ON CONFLICT (build_id, target) DO UPDATE
  SET required = EXCLUDED.required,
      place = EXCLUDED.place,
      delivered_at = CASE WHEN delivery.retired_at IS NULL AND delivery.place = EXCLUDED.place THEN delivery.delivered_at END,
      due_at = CASE WHEN delivery.retired_at IS NULL AND delivery.place = EXCLUDED.place THEN delivery.due_at
                    ELSE statement_timestamp() END,
      attempts = CASE WHEN delivery.retired_at IS NULL AND delivery.place = EXCLUDED.place THEN delivery.attempts ELSE 0 END,
      retired_at = NULL
  WHERE delivery.retired_at IS NOT NULL OR delivery.required <> EXCLUDED.required OR delivery.place <> EXCLUDED.place
)
UPDATE zipmodule.delivery
SET retired_at = statement_timestamp()
FROM made
WHERE delivery.job_id = made.job_id
  AND delivery.retired_at IS NULL
  AND ((delivery.build_id <> made.build_id AND delivery.delivered_at IS NULL)
       OR (made.deliver IS NOT NULL AND delivery.target <> ALL (made.deliver)))
