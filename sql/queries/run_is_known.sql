-- $1 instance, $2 token. Returns whether a run of that token is known.
SELECT EXISTS (SELECT FROM zipmodule.run WHERE instance = $1 AND token = $2)
