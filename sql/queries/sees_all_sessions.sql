-- Returns whether vacuum_holders() sees the sessions of all roles, and who would have to be granted the right.
SELECT zipmodule.sees_all_sessions() AS all_sessions,
       (SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE oid = 'zipmodule.vacuum_holders()'::regprocedure) AS owner
