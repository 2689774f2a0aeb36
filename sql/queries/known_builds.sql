-- $1 array of build ids, $2 instance. Returns those that the database knows to be there.
SELECT build_id FROM zipmodule.build WHERE build_id = ANY ($1::text[]) AND instance = $2
