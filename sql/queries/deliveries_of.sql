-- $1 job_id. Returns where its current build is, or is to be delivered, by target.
SELECT target, state, required, delivery_status.attempts, delivery_status.last_error_kind, delivery_status.last_error,
       delivery_status.instance,
       extract(epoch FROM delivery_status.due_at - statement_timestamp())::double precision AS due_in_seconds,
       to_char(delivered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS delivered_at
FROM zipmodule.delivery_status
JOIN zipmodule.job ON job.job_id = delivery_status.job_id AND job.build_id = delivery_status.build_id
WHERE job.job_id = $1::bigint AND state <> 'retired'
ORDER BY target
