-- Returns the highest migration applied, 0 if none.
SELECT coalesce(max(version), 0) FROM zipmodule.schema_migration
