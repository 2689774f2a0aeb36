-- $1 instance, $2 build_id.
INSERT INTO zipmodule.instance (instance, audit_cursor) VALUES ($1, $2)
ON CONFLICT (instance) DO UPDATE SET audit_cursor = EXCLUDED.audit_cursor
