-- $1 instance or empty, $2 host, $3 path. Returns the database's id, the token of the instance's newest run, null where it is not
-- known, and of the store that was last seen at that host and path its id and whether it has builds.
SELECT identity.database_id,
       instance.instance IS NOT NULL AS known,
       instance.token,
       there.instance AS at_place,
       coalesce(there.has_builds, false) AS at_place_has_builds
FROM zipmodule.identity
LEFT JOIN zipmodule.instance ON instance.instance = $1
LEFT JOIN LATERAL (
  SELECT placed.instance, EXISTS (SELECT FROM zipmodule.build WHERE build.instance = placed.instance) AS has_builds
  FROM zipmodule.instance AS placed
  WHERE placed.host = $2 AND placed.path = $3
  ORDER BY placed.run_id DESC NULLS LAST
  LIMIT 1
) AS there ON true
