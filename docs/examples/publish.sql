-- psql -v series=bach -v archive=album -v files='[{"source": "bach/album"}]' -f publish.sql
\set ON_ERROR_STOP on
\set VERBOSITY verbose
BEGIN;
-- ... what else belongs to the publish: it is committed with it, or not at all
SELECT job_id, revision
FROM zipmodule.publish(:'series', :'archive', :'files');
COMMIT;
