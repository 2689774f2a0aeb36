-- Best first, from the beginning of the queue.
ORDER BY priority DESC, turn, job_id
