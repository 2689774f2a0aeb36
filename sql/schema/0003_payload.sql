-- What a publish may contain. All rules are checked here, in the publisher's own transaction; a broken one is an error
-- with SQLSTATE 22023 that names the argument or the element. (A text that jsonb itself refuses, such as one with
-- \u0000, fails before any function is called, with SQLSTATE 22P02 or 22P05.)
CREATE FUNCTION zipmodule.refuse(message text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = message;
END
$$;

-- Texts with backslashes are written E'...': whatever standard_conforming_strings the publisher's session has.
--
-- The functions below without `SET search_path` are called by those that have one, and take theirs: setting it again for
-- each call was a third of a publish, and keeps SQL functions from being inlined.

-- What is wrong with the name of a series, an archive or a lane; null if nothing.
CREATE FUNCTION zipmodule.name_problem(name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
           WHEN name IS NULL THEN 'must not be null'
           WHEN name = '' THEN 'must not be empty'
           WHEN octet_length(name) > 200 THEN 'must have at most 200 bytes'
           WHEN name ~ E'[\\u0001-\\u001F\\u007F]' THEN 'must not contain control characters'
           WHEN strpos(name, '/') > 0 THEN 'must not contain ''/'''
           WHEN strpos(name, E'\\') > 0 THEN E'must not contain ''\\'''
           WHEN left(name, 1) = '.' THEN 'must not begin with ''.'''
         END
$$;

-- What is wrong with a relative path of components; null if nothing.
CREATE FUNCTION zipmodule.path_problem(path text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
           WHEN left(path, 1) = '/' THEN 'must be a relative path'
           WHEN strpos(path, '//') > 0 THEN 'must not contain an empty component'
           WHEN path ~ E'(^|/)\\.\\.?(/|$)' THEN
             CASE WHEN path ~ E'(^|/)\\.\\.(/|$)' THEN 'must not contain ''..''' ELSE 'must not contain ''.''' END
         END
$$;

-- Refuses a file list with the first thing that is wrong in it.
CREATE FUNCTION zipmodule.check_files(files jsonb, mode text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  k_most_files constant integer := 1000000;  -- limits.max_entries by default: a folder counts once here
  -- A short list of elements with nothing in them that any rule below looks for, as jsonb writes it: one look at the whole text
  -- instead of all rules for each element, which was a quarter of a publish of five files.
  k_first constant text := E'[^/"\\\\:.\\u0001-\\u001F\\u007F]';
  k_other constant text := E'[^/"\\\\:\\u0001-\\u001F\\u007F]*';
  k_path constant text := k_first || k_other || '(?:/' || k_first || k_other || ')*';
  k_plain constant text := E'^\\[(?:\\{(?:"name": "' || k_first || k_other || '", )?'
                           || '"source": "(?:[A-Za-z0-9_.-]{1,16}:)?' || k_path || '"'
                           || '(?:, "destination": "' || k_path || E'")?\\}(?:, )?)+\\]$';
  k_few constant integer := 100;
  k_short constant integer := 4096;  -- of the whole text: no source or destination in it is too long
  k_long_name constant jsonpath := jsonpath '$[*].name ? (@ like_regex "^.{63}.")';  -- a character may have four bytes
  problem text;
BEGIN
  IF files IS NULL THEN PERFORM zipmodule.refuse('files: must not be null'); END IF;
  IF jsonb_typeof(files) <> 'array' THEN PERFORM zipmodule.refuse('files: must be an array'); END IF;
  IF jsonb_array_length(files) = 0 THEN PERFORM zipmodule.refuse('files: must not be empty'); END IF;
  IF jsonb_array_length(files) > k_most_files THEN
    PERFORM zipmodule.refuse(format('files: must have at most %s elements', k_most_files));
  END IF;
  IF jsonb_array_length(files) <= k_few
     AND octet_length(files::text) <= k_short
     AND files::text ~ k_plain
     AND NOT jsonb_path_exists(files, k_long_name) THEN
    RETURN;
  END IF;

  SELECT format('files[%s]%s', n - 1, shape.problem) INTO problem
  FROM jsonb_array_elements(files) WITH ORDINALITY AS file(element, n)
  CROSS JOIN LATERAL (
    SELECT CASE
             WHEN jsonb_typeof(element) <> 'object' THEN ': must be an object'
             WHEN element ? 'remove' THEN
               CASE
                 WHEN mode <> 'merge' THEN '.remove: needs mode => ''merge'''
                 WHEN jsonb_typeof(element -> 'remove') <> 'string' THEN '.remove: must be a string'
                 WHEN element - 'remove' <> '{}' THEN '.remove: must be the only key'
                 WHEN rtrim(element ->> 'remove', '/') = '' THEN '.remove: must not be empty'
                 WHEN octet_length(element ->> 'remove') > 65535 THEN '.remove: must have at most 65535 bytes'
                 ELSE '.remove: ' || zipmodule.path_problem(element ->> 'remove')
               END
             WHEN NOT element ? 'source' THEN '.source: is missing'
             WHEN jsonb_typeof(element -> 'source') <> 'string' THEN '.source: must be a string'
             WHEN jsonb_typeof(element -> 'destination') <> 'string' THEN '.destination: must be a string'
             WHEN jsonb_typeof(element -> 'name') <> 'string' THEN '.name: must be a string'
             WHEN element - '{source,destination,name}'::text[] <> '{}' THEN
               format(': unknown key %s', (SELECT to_json(min(key)) FROM jsonb_object_keys(element) AS key
                                           WHERE key NOT IN ('source', 'destination', 'name')))
           END AS problem
  ) AS shape
  WHERE shape.problem IS NOT NULL
  ORDER BY n
  LIMIT 1;
  IF problem IS NOT NULL THEN PERFORM zipmodule.refuse(problem); END IF;

  -- OFFSET 0 keeps the extracted texts from being extracted again for every rule.
  SELECT format('files[%s].%s', n - 1, coalesce('source: ' || in_source.problem, 'destination: ' || in_destination.problem,
                                                'name: ' || in_name.problem)) INTO problem
  FROM (
    SELECT n, source, destination, name,
           -- 'root:path'; a ':' after the first '/' belongs to the path
           CASE WHEN source ~ '^[^/]*:' AND NOT url THEN split_part(source, ':', 1) END AS root,
           CASE WHEN url THEN regexp_replace(source, '^[a-z0-9]+://[^/]*/?', '')
                WHEN source ~ '^[^/]*:' THEN substr(source, strpos(source, ':') + 1) ELSE source END AS path,
           url
    FROM (
      SELECT n, (element ->> 'source') ~ '^(sftp|s3|https)://' AS url, element ->> 'source' AS source, element ->> 'destination' AS destination, element ->> 'name' AS name
      FROM jsonb_array_elements(files) WITH ORDINALITY AS file(element, n)
      WHERE element ? 'source'
      OFFSET 0
    ) AS extracted
    OFFSET 0
  ) AS file
  CROSS JOIN LATERAL (
    SELECT CASE
             WHEN source = '' THEN 'must not be empty'
             WHEN octet_length(source) > 4096 THEN 'must have at most 4096 bytes'
             WHEN source ~ E'[\\u0001-\\u001F\\u007F]' THEN 'must not contain control characters'
             -- never quoted: whoever writes a password there must not find it in a log
             WHEN url AND source ~ '^[a-z0-9]+://[^/]*:[^/]*@' THEN 'must not hold a password'
             WHEN url AND source !~ '^[a-z0-9]+://[^/]+/' THEN 'must be a URL such as sftp://host/path or s3://bucket/key'
             WHEN root !~ '^[A-Za-z0-9_.-]{1,64}$' THEN
               'the root before '':'' must have 1 to 64 of A-Z a-z 0-9 _ . - (write ''default:'' before a path with a '':'')'
             WHEN path = '' THEN 'must name a path below the root'
             ELSE zipmodule.path_problem(path)
           END AS problem
  ) AS in_source
  CROSS JOIN LATERAL (
    SELECT CASE
             WHEN coalesce(destination, '') = '' THEN NULL
             WHEN destination ~ E'[\\u0001-\\u001F\\u007F]' THEN 'must not contain control characters'
             WHEN strpos(destination, E'\\') > 0 THEN E'must not contain ''\\'''
             WHEN destination ~ '^[A-Za-z]:' THEN 'must not begin with a drive letter'
             WHEN destination ~ '[^/]/$' THEN 'must not end with ''/'''
             -- 65,535 is the longest name a zip entry can have; a source has at most 4,096
             WHEN octet_length(destination) > 61000
                  AND octet_length(destination) + 1
                      + octet_length(coalesce(name, regexp_replace(rtrim(path, '/'), '^.*/', ''))) > 65535
               THEN 'must have at most 65535 bytes together with the name'
             ELSE zipmodule.path_problem(destination)
           END AS problem
  ) AS in_destination
  CROSS JOIN LATERAL (
    SELECT CASE
             WHEN name IS NULL THEN NULL
             WHEN name = '' THEN 'must not be empty'
             WHEN octet_length(name) > 255 THEN 'must have at most 255 bytes'
             WHEN name ~ E'[\\u0001-\\u001F\\u007F]' THEN 'must not contain control characters'
             WHEN strpos(name, '/') > 0 THEN 'must not contain ''/'''
             WHEN strpos(name, E'\\') > 0 THEN E'must not contain ''\\'''
             WHEN name ~ '^[A-Za-z]:' THEN 'must not begin with a drive letter'
             WHEN right(source, 1) = '/' THEN 'can''t be given for the contents of a folder (a source that ends with ''/'')'
             ELSE zipmodule.path_problem(name)
           END AS problem
  ) AS in_name
  WHERE in_source.problem IS NOT NULL OR in_destination.problem IS NOT NULL OR in_name.problem IS NOT NULL
  ORDER BY n
  LIMIT 1;
  IF problem IS NOT NULL THEN PERFORM zipmodule.refuse(problem); END IF;
END
$$;

-- Where an element lands in the archive. The contents of a folder (a source that ends with '/') have no single place:
-- two such elements are the same only if source and destination both are.
CREATE FUNCTION zipmodule.place_of(element jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(element ->> 'destination', '') || '/' ||
         CASE WHEN right(element ->> 'source', 1) = '/' THEN '/' || (element ->> 'source')
              ELSE coalesce(element ->> 'name', regexp_replace(element ->> 'source', '^([^/]*:)?(.*/)?', ''))
         END
$$;

-- mode 'merge': new elements take the place, and the position, of old ones at the same place; others are appended. An
-- element 'remove' takes out what is at its place, and all below it where it ends with '/': of the old list, and of what
-- stands before it in the new one. Null where nothing is left.
CREATE FUNCTION zipmodule.merged_files(old_files jsonb, new_files jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH removal AS MATERIALIZED (
    SELECT CASE WHEN strpos(place, '/') > 0 THEN place ELSE '/' || place END AS place,
           CASE WHEN right(path, 1) = '/' THEN path END AS below,
           n
    FROM (
      SELECT element ->> 'remove' AS path, rtrim(element ->> 'remove', '/') AS place, n
      FROM jsonb_array_elements(new_files) WITH ORDINALITY AS file(element, n)
      WHERE element ? 'remove'
    ) AS file
  ), old AS MATERIALIZED (
    SELECT element, n, zipmodule.place_of(element) AS place
    FROM jsonb_array_elements(old_files) WITH ORDINALITY AS file(element, n)
  ), new AS MATERIALIZED (
    SELECT element, n, place
    FROM (
      SELECT element, n, zipmodule.place_of(element) AS place
      FROM jsonb_array_elements(new_files) WITH ORDINALITY AS file(element, n)
      WHERE NOT element ? 'remove'
    ) AS file
    WHERE NOT EXISTS (
      SELECT FROM removal
      WHERE removal.n > file.n
        AND (removal.place = file.place OR starts_with(file.place, removal.below))
    )
  )
  SELECT jsonb_agg(element ORDER BY position NULLS LAST, n)
  FROM (
    SELECT element, n AS position, n
    FROM old
    WHERE NOT EXISTS (SELECT FROM new WHERE new.place = old.place)
      AND NOT EXISTS (SELECT FROM removal WHERE removal.place = old.place)
      AND NOT EXISTS (SELECT FROM removal WHERE starts_with(old.place, removal.below))
    UNION ALL
    SELECT new.element, first.position, new.n
    FROM new LEFT JOIN (SELECT place, min(n) AS position FROM old GROUP BY place) AS first USING (place)
  ) AS merged
$$;
