-- What has waited longest first.
ORDER BY pending_since
