-- $1 instance, $2 its targets.
UPDATE zipmodule.instance SET targets = $2 WHERE instance = $1
