-- Returns whether schema_migration exists.
SELECT to_regclass('zipmodule.schema_migration') IS NOT NULL
