-- $1 instance. Returns its bookmark, if it has one.
SELECT audit_cursor FROM zipmodule.instance WHERE instance = $1
