-- $4 priority, $5 turn, $6 job_id. Of one priority, behind that job: what was served before, and is kept by
-- transactions older than that, is not stepped over again.
  AND priority = $4::integer
  AND (turn, job_id) > ($5::bigint, $6::bigint)
ORDER BY turn, job_id
