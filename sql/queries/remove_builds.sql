-- $1 array of build ids. Removes the rows of builds whose files are gone.
DELETE FROM zipmodule.build WHERE build_id = ANY ($1::text[]) AND deleting_at IS NOT NULL
