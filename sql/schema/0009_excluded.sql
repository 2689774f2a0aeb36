-- How many names zip.exclude kept out of an archive.

-- An excluded folder counts as one. Null in rows of before, and where nothing was measured.
ALTER TABLE zipmodule.telemetry ADD COLUMN files_excluded bigint;
ALTER TYPE zipmodule.attempt ADD ATTRIBUTE files_excluded bigint;
