-- $4 priority. Best first, of higher priorities only.
  AND priority > $4::integer
ORDER BY priority DESC, turn, job_id
