-- Another identity for the database, as for a copy of a production's dump: it knows no target any more, and owes nobody a copy.
WITH delivered AS (
  DELETE FROM zipmodule.delivery
), placed AS (
  DELETE FROM zipmodule.target_place
)
UPDATE zipmodule.identity SET database_id = replace(gen_random_uuid()::text, '-', '') RETURNING database_id
