-- Once, as a superuser of the PostgreSQL server; then run zipmodule migrate.

-- What one may do with zipmodule. Nobody logs in as these.
CREATE ROLE zipmodule_publisher;
CREATE ROLE zipmodule_worker;
CREATE ROLE zipmodule_operator;
-- Owns schema and functions; nobody logs in as this one either.
CREATE ROLE zipmodule_owner;
-- `zipmodule check` names the sessions that keep PostgreSQL from removing dead rows, also those of others: through a function
-- of the owner's that shows no queries.
GRANT pg_read_all_stats TO zipmodule_owner;

CREATE DATABASE zipmodule OWNER zipmodule_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE CONNECT, TEMPORARY ON DATABASE zipmodule FROM PUBLIC;
GRANT CONNECT ON DATABASE zipmodule TO zipmodule_publisher, zipmodule_worker, zipmodule_operator;

-- Logins, each a member of what it needs: the CMS, the download host's run, and people at a shell, who use all verbs. Give
-- them passwords with \password cms and so on: then the server and its log only ever see a hash.
CREATE ROLE cms LOGIN IN ROLE zipmodule_publisher;
CREATE ROLE zipmodule LOGIN IN ROLE zipmodule_worker;
CREATE ROLE ops LOGIN IN ROLE zipmodule_operator, zipmodule_publisher;
