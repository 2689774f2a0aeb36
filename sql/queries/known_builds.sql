-- $1 array of build ids. Returns those the database knows.
SELECT build_id FROM zipmodule.build WHERE build_id = ANY ($1::text[])
