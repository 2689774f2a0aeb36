# python3 publish.py SERIES ARCHIVE SOURCE...
# Host, database, user and password come from PGHOST, PGDATABASE, PGUSER, PGPASSWORD or ~/.pgpass.
import sys

import psycopg2
from psycopg2.extras import Json

series, archive, *sources = sys.argv[1:]
files = [{"source": source} for source in sources]

db = psycopg2.connect("")  # "host=db.example.org dbname=zipmodule user=cms"
try:
    with db, db.cursor() as cursor:
        # ... what else belongs to the publish: it is committed with it, or not at all
        cursor.execute("SELECT job_id, revision FROM zipmodule.publish(%s, %s, %s)", (series, archive, Json(files)))
        job_id, revision = cursor.fetchone()
    print(f"published {series}/{archive}: job {job_id}, revision {revision}")
except psycopg2.errors.InvalidParameterValue as error:  # SQLSTATE 22023
    # The list or an argument is wrong; the message names which, and the rule.
    sys.exit(f"refused: {error.diag.message_primary}")
