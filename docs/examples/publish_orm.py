# python3 publish_orm.py SERIES ARCHIVE SOURCE...
# Host, database, user and password come from PGHOST, PGDATABASE, PGUSER, PGPASSWORD or ~/.pgpass.
import sys

from sqlalchemy import BigInteger, Column, FetchedValue, Integer, Text, create_engine
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, declarative_base


class Publication(declarative_base()):
    """An INSERT into this view is a publish. What is None takes the default of zipmodule.publish."""

    __tablename__ = "publication"
    __table_args__ = {"schema": "zipmodule"}
    __mapper_args__ = {"eager_defaults": True}  # RETURNING job_id, revision

    job_id = Column(BigInteger, primary_key=True)
    revision = Column(BigInteger, server_default=FetchedValue())
    series = Column(Text)
    archive = Column(Text)
    files = Column(JSONB)
    priority = Column(Integer)
    on_missing = Column(Text)


series, archive, *sources = sys.argv[1:]
engine = create_engine("postgresql+psycopg2://")  # "postgresql+psycopg2://cms@db.example.org/zipmodule"
# A publisher may not read the view: without expire_on_commit=False, the session would after the commit.
with Session(engine, expire_on_commit=False) as session:
    publication = Publication(series=series, archive=archive, files=[{"source": source} for source in sources])
    session.add(publication)
    try:
        session.commit()
    except DBAPIError as error:
        if error.orig.pgcode != "22023":
            raise
        # The list or an argument is wrong; the message names which, and the rule.
        sys.exit(f"refused: {error.orig.diag.message_primary}")
    print(f"published {series}/{archive}: job {publication.job_id}, revision {publication.revision}")
