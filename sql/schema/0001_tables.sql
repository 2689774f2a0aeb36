-- Everything the queue remembers. sql/README.md tells the rules; only functions and views named there are for others.
-- Names that indexes hold are compared byte by byte (COLLATE "C"): it is quicker, and no new version of the system's
-- collations leaves an index in the wrong order. Functions compare their arguments with them so, too: these have the
-- collation of what the caller gives.
CREATE SCHEMA IF NOT EXISTS zipmodule;

CREATE TABLE zipmodule.schema_migration (
  version    integer PRIMARY KEY,
  name       text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- Which database this is. A restored copy has the same id; stores and targets remember it (.zipmodule.store).
CREATE TABLE zipmodule.identity (
  only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  database_id text NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', '')
);
INSERT INTO zipmodule.identity DEFAULT VALUES;

-- One row per launch of the worker. finished_at stays null where it was killed.
CREATE TABLE zipmodule.run (
  run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  host        text NOT NULL,
  instance    text COLLATE "C" NOT NULL,
  token       text NOT NULL,                        -- the store's marker names it as well
  pid         integer NOT NULL,
  version     text NOT NULL,
  started_at  timestamptz NOT NULL DEFAULT statement_timestamp(),
  finished_at timestamptz,
  claimed     bigint NOT NULL DEFAULT 0,
  done        bigint NOT NULL DEFAULT 0,
  failed      bigint NOT NULL DEFAULT 0,
  outcome     text
);
CREATE INDEX run_instance ON zipmodule.run (instance, run_id);

-- The queue's virtual time: the highest turn that claims have served, of priorities below, at and above 0, so that urgent
-- work does not move the time of ordinary work. Sequences, because every publish reads one and every claim moves one: that
-- makes no row versions. One that ran ahead of a transaction that was rolled back does no harm.
CREATE SEQUENCE zipmodule.served_low AS bigint MINVALUE 0 START 0;
CREATE SEQUENCE zipmodule.served_normal AS bigint MINVALUE 0 START 0;
CREATE SEQUENCE zipmodule.served_high AS bigint MINVALUE 0 START 0;

-- One row per archive that was ever published.
CREATE TABLE zipmodule.job (
  job_id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  series             text COLLATE "C" NOT NULL,
  archive            text COLLATE "C" NOT NULL,
  -- what is wanted
  files              jsonb NOT NULL,
  metadata           jsonb NOT NULL,
  on_missing         text NOT NULL CHECK (on_missing IN ('fail', 'skip')),
  level              text CHECK (level IN ('store', 'fast', 'balanced', 'small')),
  lane               text COLLATE "C" NOT NULL,
  priority           integer NOT NULL,
  store              text,                          -- which hosts may build it: null for all
  deliver            text[],                        -- the targets it is delivered to: null for all that its builder has
  published_at       timestamptz NOT NULL,          -- of wanted_revision
  wanted_revision    bigint NOT NULL DEFAULT 1,
  cancelled_revision bigint NOT NULL DEFAULT 0,
  -- what there is
  built_revision     bigint NOT NULL DEFAULT 0,
  linked_revision    bigint NOT NULL DEFAULT 0,     -- the built revision at the last release
  build_id           text COLLATE "C",              -- the build of built_revision
  -- its place in the queue
  pending            boolean NOT NULL DEFAULT true,
  pending_since      timestamptz NOT NULL,
  turn               bigint NOT NULL,               -- its lane's next, when it became pending (next_turn)
  window_at          timestamptz NOT NULL,          -- first publish that no claim has covered yet
  due_at             timestamptz NOT NULL,
  -- who holds it: somebody does if and only if lease_until is not null
  lease_token        bigint NOT NULL DEFAULT 0,     -- counts claims for ever, never falls
  lease_until        timestamptz,
  -- of the newest lease, held or not: telemetry is written from these
  lease_revision     bigint,
  lease_by           text COLLATE "C",              -- instance
  lease_host         text,
  lease_run          bigint,
  lease_attempt      integer,
  lease_claimed_at   timestamptz,
  lease_published_at timestamptz,
  lease_deliver      text[],
  progress           double precision NOT NULL DEFAULT 0,
  -- how it went so far with wanted_revision
  attempts           integer NOT NULL DEFAULT 0,    -- failures that count towards max_attempts
  claims             integer NOT NULL DEFAULT 0,
  losses             integer NOT NULL DEFAULT 0,    -- leases lost in a row
  last_error_kind    text,
  last_error         text,
  CONSTRAINT job_name UNIQUE (series, archive),
  CONSTRAINT job_lease_is_pending CHECK (lease_until IS NULL OR pending)
) WITH (fillfactor = 35);
-- A claim, a heartbeat and a commit change no column of any index, and most of each page is free: they stay HOT, so that
-- neither index grows with the work done. 35, not 50: a claim makes a fresh row half as long again, and two versions of
-- all rows of a page have to fit where one batch claims them all (at 50, a tenth of 120 updates found no room, at 40 a
-- twentieth, at 35 none on a calm server; what pruning frees in between depends on who else is connected).
CREATE INDEX job_queue ON zipmodule.job (priority DESC, turn, job_id) WHERE pending;
CREATE INDEX job_lane ON zipmodule.job (lane, priority, turn) WHERE pending;
CREATE INDEX job_age ON zipmodule.job (pending_since) WHERE pending;

-- Which jobs of which lanes run, kept by the claims of workers that have a lane_max. Never read without its job: a row
-- whose token is not the job's, or whose job has no lease, is left over and goes with the next such claim.
CREATE TABLE zipmodule.lane_lease (
  job_id bigint PRIMARY KEY REFERENCES zipmodule.job ON DELETE CASCADE,
  token  bigint NOT NULL,
  lane   text COLLATE "C" NOT NULL
);

-- The row that claims of such workers lock, one after the other.
CREATE TABLE zipmodule.lane_lock (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row));
INSERT INTO zipmodule.lane_lock DEFAULT VALUES;

CREATE TYPE zipmodule.archive_format AS ENUM ('zip');

-- Where a build lies, below a store or a target. No table holds a path: every one follows from an id.
CREATE FUNCTION zipmodule.build_path(build_id text, format zipmodule.archive_format) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT 'builds/' || left(build_id, 2) || '/' || build_id || '.' || format
$$;

-- One row per immutable file in an archive store.
CREATE TABLE zipmodule.build (
  build_id    text COLLATE "C" PRIMARY KEY
    CHECK (octet_length(build_id) = 32 AND translate(build_id, '0123456789abcdef', '') = ''),
  job_id      bigint NOT NULL,                      -- a commit inserts it while it has the job locked
  instance    text COLLATE "C" NOT NULL,
  revision    bigint NOT NULL,
  format      zipmodule.archive_format NOT NULL DEFAULT 'zip',
  bytes       bigint NOT NULL,
  entries     bigint NOT NULL,
  fingerprint text NOT NULL,
  mtime_ns    bigint NOT NULL,
  deliver     text[],                               -- what the publish of its revision said
  created_at  timestamptz NOT NULL DEFAULT statement_timestamp(),
  retired_at  timestamptz,                          -- null: current
  deleting_at timestamptz                           -- its file is being removed
);
CREATE INDEX build_retired ON zipmodule.build (instance, retired_at) WHERE retired_at IS NOT NULL;

-- One row per build and target that has it, is to have it, or has it still. It is due while it is its job's current build and
-- neither delivered nor retired. Retired, its copy stays for the grace time, and the row until the copy is gone.
CREATE TABLE zipmodule.delivery (
  build_id        text COLLATE "C" NOT NULL,
  target          text COLLATE "C" NOT NULL,
  job_id          bigint NOT NULL,
  instance        text COLLATE "C" NOT NULL,        -- in whose store the build is: who delivers and removes it
  series          text COLLATE "C" NOT NULL,
  archive         text COLLATE "C" NOT NULL,
  bytes           bigint NOT NULL,
  place           text NOT NULL,                    -- where the target was when it was noted; it has not moved since
  required        boolean NOT NULL,                 -- its job is not done before
  backlog         boolean NOT NULL DEFAULT false,   -- built before the target came: behind all that is new
  disputed        integer NOT NULL DEFAULT 0,       -- how often another build's link may have taken its place there
  created_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
  due_at          timestamptz NOT NULL DEFAULT statement_timestamp(),
  attempts        integer NOT NULL DEFAULT 0,       -- that failed, in a row
  delivered_at    timestamptz,                      -- its public name there led to it
  retired_at      timestamptz,
  last_error_kind text,
  last_error      text,
  PRIMARY KEY (build_id, target)
);
CREATE INDEX delivery_job ON zipmodule.delivery (job_id);
CREATE INDEX delivery_due ON zipmodule.delivery (instance, target, backlog, due_at)
  WHERE delivered_at IS NULL AND retired_at IS NULL;
CREATE INDEX delivery_awaited ON zipmodule.delivery (build_id)
  WHERE required AND delivered_at IS NULL AND retired_at IS NULL;
CREATE INDEX delivery_retired ON zipmodule.delivery (instance, target, retired_at) WHERE retired_at IS NOT NULL;

-- A job that somebody removes takes its builds along; their files are swept as orphans after a run that did not end by itself,
-- and its public link is for whoever removed it to remove. What was delivered is removed after the grace time. Not by a foreign
-- key: its check of every new build was a sixth of a commit.
CREATE FUNCTION zipmodule.job_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM zipmodule.build USING gone WHERE build.job_id = gone.job_id;
  UPDATE zipmodule.delivery
  SET retired_at = statement_timestamp()
  FROM gone
  WHERE delivery.job_id = gone.job_id AND delivery.retired_at IS NULL;
  RETURN NULL;
END
$$;
CREATE TRIGGER job_gone AFTER DELETE ON zipmodule.job REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION zipmodule.job_gone();

-- One row per attempt, written when it ends, never changed; and one per damaged build that an audit found, which is no
-- attempt: it has no lease, number or times but finished_at.
CREATE TABLE zipmodule.telemetry (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id           bigint,
  job_id           bigint NOT NULL,
  lease_token      bigint,                          -- null: found by an audit
  host             text,
  series           text COLLATE "C" NOT NULL,
  archive          text COLLATE "C" NOT NULL,
  revision         bigint NOT NULL,
  attempt          integer,
  outcome          text NOT NULL CHECK (outcome IN ('done', 'failed', 'retry', 'lost', 'skipped', 'cancelled')),
  error_kind       text,
  error            text,
  published_at     timestamptz,
  claimed_at       timestamptz,
  started_at       timestamptz,
  finished_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
  wait_seconds     double precision,                -- published_at to started_at
  build_seconds    double precision,
  total_seconds    double precision,                -- published_at to finished_at
  plan_seconds     double precision,
  read_seconds     double precision,
  compress_seconds double precision,
  write_seconds    double precision,
  sync_seconds     double precision,
  commit_seconds   double precision,
  files            bigint,
  files_reused     bigint,
  files_missing    bigint,
  bytes_in         bigint,
  bytes_out        bigint,
  cpu_seconds      double precision,
  missing          jsonb,                           -- sources left out under on_missing => 'skip'
  CONSTRAINT telemetry_attempt UNIQUE (job_id, lease_token)
);
-- Appended in time order: a few pages of BRIN find a day of it.
CREATE INDEX telemetry_finished ON zipmodule.telemetry USING brin (finished_at) WITH (pages_per_range = 16);

-- One row per attempt to deliver a build to a target, or to remove it there, written when it ends, never changed.
CREATE TABLE zipmodule.delivery_telemetry (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id         bigint,
  job_id         bigint NOT NULL,
  host           text,
  series         text COLLATE "C" NOT NULL,
  archive        text COLLATE "C" NOT NULL,
  revision       bigint,                            -- null: its build is gone
  build_id       text COLLATE "C" NOT NULL,
  target         text COLLATE "C" NOT NULL,
  attempt        integer NOT NULL,
  -- superseded: a newer build came meanwhile; removed: after its grace time
  outcome        text NOT NULL CHECK (outcome IN ('done', 'retry', 'superseded', 'removed')),
  error_kind     text,
  error          text,
  started_at     timestamptz,
  finished_at    timestamptz NOT NULL DEFAULT statement_timestamp(),
  wait_seconds   double precision,                  -- from its commit, or from when it was due again, to started_at
  upload_seconds double precision,                  -- until it was whole there, and compared
  switch_seconds double precision,                  -- of its public name there
  total_seconds  double precision,                  -- from its publish to finished_at
  bytes          bigint,                            -- the archive's
  bytes_sent     bigint                             -- 0: it was there already
);
CREATE INDEX delivery_telemetry_finished ON zipmodule.delivery_telemetry USING brin (finished_at) WITH (pages_per_range = 16);

-- An archive store: what it remembers between runs, and what its newest run says of itself while it lives. Host and path are
-- where that run found it: another host, or another path, is the same store as long as its marker says so.
CREATE TABLE zipmodule.instance (
  instance      text COLLATE "C" PRIMARY KEY,       -- the id in its marker
  audit_cursor  text NOT NULL DEFAULT '',
  token         text,                               -- of its newest run
  sweep_at      timestamptz,                        -- from when on builds that the database does not know are looked for
  host          text,
  path          text,
  store         text,                               -- which jobs it builds: those of this name, and those of none
  version       text,
  run_id        bigint,
  seen_at       timestamptz,
  silent_at     timestamptz,                        -- whoever has not been seen again by then is lost
  listens_until timestamptz,                        -- publishes notify only before this
  targets       text                                -- for which all builds have their deliveries; null: for none
) WITH (fillfactor = 50);

-- Where targets are, by the ids in their markers. A local folder is a place of the store that delivers there.
CREATE TABLE zipmodule.target_place (
  target    text COLLATE "C" NOT NULL,
  place     text COLLATE "C" NOT NULL,
  marker_id text NOT NULL,
  seen_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
  PRIMARY KEY (target, place)
);

-- One attempt as the worker reports it: an element of the arrays that end leases. Its columns' order is that of the text
-- form which src/queue/item.cpp writes.
CREATE TYPE zipmodule.attempt AS (
  i                integer,
  job_id           bigint,
  token            bigint,
  revision         bigint,
  outcome          text,
  error_kind       text,
  error            text,
  missing          jsonb,
  counts           boolean,
  retryable        boolean,
  retry_after      double precision,
  build_id         text,
  bytes            bigint,
  entries          bigint,
  fingerprint      text,
  mtime_ns         bigint,
  build_seconds    double precision,
  plan_seconds     double precision,
  read_seconds     double precision,
  compress_seconds double precision,
  write_seconds    double precision,
  sync_seconds     double precision,
  commit_seconds   double precision,
  cpu_seconds      double precision,
  files            bigint,
  files_reused     bigint,
  files_missing    bigint,
  bytes_in         bigint,
  bytes_out        bigint
);
