-- $1 instance, $2 its targets, or empty. Writes nothing where they are known.
UPDATE zipmodule.instance SET targets = nullif($2, '') WHERE instance = $1 AND targets IS DISTINCT FROM nullif($2, '')
