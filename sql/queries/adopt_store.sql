-- $1 instance, $2 host, $3 path. From now on the store is one of this database. What it does not know is looked for by the next
-- run, and all that is current goes to the targets once more, which costs a look where it is there.
INSERT INTO zipmodule.instance (instance, host, path, sweep_at)
VALUES ($1, $2, $3, statement_timestamp())
ON CONFLICT (instance) DO UPDATE SET host = $2, path = $3, token = NULL, sweep_at = statement_timestamp(), targets = NULL
