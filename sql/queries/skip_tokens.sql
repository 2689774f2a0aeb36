-- Moves the lease tokens of all jobs beyond those that rows lost with a restored dump may have had: a worker that still holds
-- one of these can commit nothing.
UPDATE zipmodule.job SET lease_token = lease_token + 1000000
