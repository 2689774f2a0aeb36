"""What must be true when all is quiet. Every check returns what it found wrong, a line each; checks_test.py shows that
each one fails when it should."""

import hashlib
import json
import os
import pathlib
import subprocess
import tempfile

# Kinds of error that a host in trouble may report; a damaged build or an internal error is never one of them.
EXPECTED_KINDS = {"", "lease_lost", "stopped", "disk_full", "disk_reserve", "store_unwritable", "database",
                  "threads", "root_away"}


def rows(world, query):
    text = world.cluster.sql(f"SELECT coalesce(json_agg(q), '[]') FROM ({query}) AS q", world.database)
    return json.loads(text)


def hashes_of(archive):
    """name -> sha256 of what unzip makes of it; raises ValueError with its words."""
    with tempfile.TemporaryDirectory(prefix="zipmodule-chaos-") as folder:
        done = subprocess.run(["unzip", "-qq", archive, "-d", folder], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise ValueError(f"unzip: {done.stderr.strip() or done.stdout.strip()}")
        root = pathlib.Path(folder)
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in root.rglob("*") if path.is_file()}


def every_archive_is_done(world):
    jobs = {(job["series"], job["archive"]): job for job in rows(world, "SELECT * FROM zipmodule.job_status")}
    wrong = []
    for name in world.publisher.published:
        job = jobs.pop(name, None)
        if job is None:
            if any(generation.revision for generation in world.publisher.published[name]):
                wrong.append(f"{name}: the database does not know it")
        elif job["state"] != "done" or job["built_revision"] != job["wanted_revision"]:
            wrong.append(f"{name}: {job['state']}, built {job['built_revision']} of {job['wanted_revision']}: "
                         f"{job['last_error_kind']}: {job['last_error']}")
    return wrong + [f"{name}: nobody published it" for name in jobs]


def wanted_generation(job, generations):
    """The generation that must be in the archive, and what is wrong with what the database wants."""
    number = (job["metadata"] or {}).get("generation", 0)
    acknowledged = [one for one in generations if one.revision is not None]
    if not 1 <= number <= len(generations):
        return None, f"wants generation {number}, which was never published"
    wanted = generations[number - 1]
    if acknowledged and number < acknowledged[-1].number:
        return None, f"wants generation {number}, but {acknowledged[-1].number} was acknowledged"
    if wanted.revision is not None and wanted.revision != job["wanted_revision"]:
        return None, f"generation {number} was acknowledged as revision {wanted.revision}, not {job['wanted_revision']}"
    if acknowledged and job["wanted_revision"] < acknowledged[-1].revision:
        return None, f"wants revision {job['wanted_revision']}, but {acknowledged[-1].revision} was acknowledged"
    return wanted, None


def contents_are_the_last_published(world):
    wrong = []
    for job in rows(world, "SELECT s.*, b.instance FROM zipmodule.job_status AS s "
                           "LEFT JOIN zipmodule.job USING (job_id) LEFT JOIN zipmodule.build AS b USING (build_id)"):
        name = job["series"], job["archive"]
        wanted, problem = wanted_generation(job, world.publisher.published[name])
        if problem:
            wrong.append(f"{name}: {problem}")
            continue
        worker = world.worker_of(job["instance"])
        if worker is None:
            wrong.append(f"{name}: no store has its build")
            continue
        link = worker.root / "public" / name[0] / f"{name[1]}.zip"
        try:
            if link.resolve() != (worker.root / job["path"]).resolve():
                wrong.append(f"{name}: {link} leads to {link.resolve()}, the build is {job['path']}")
            found = hashes_of(link)
        except (OSError, ValueError) as error:
            wrong.append(f"{name}: {link}: {error}")
            continue
        if found != wanted.content:
            differ = {entry for entry in found.keys() | wanted.content.keys()
                      if found.get(entry) != wanted.content.get(entry)}
            wrong.append(f"{name}: generation {wanted.number} was published, these differ: {sorted(differ)[:5]}")
    return wrong


def no_link_went_back(world):
    wrong = list(world.watcher.problems)
    if not world.watcher.switches:
        wrong.append("no switch of a link was seen at all")
    return wrong


def every_publish_was_built_or_superseded(world):
    """By telemetry: for each acknowledged revision an attempt that built it, or a newer one."""
    built = {}
    for row in rows(world, "SELECT series, archive, max(revision) AS revision FROM zipmodule.telemetry "
                           "WHERE outcome = 'done' GROUP BY series, archive"):
        built[row["series"], row["archive"]] = row["revision"]
    return [f"{name}: revision {one.revision} was published, {built.get(name, 'none')} is the last that was built"
            for name, generations in world.publisher.published.items() for one in generations
            if one.revision is not None and one.revision > built.get(name, 0)]


def attempts_add_up(world):
    """Every lease token that was ever given has exactly one row, and no row tells of what must never happen. A restore
    loses rows, and tokens are left out after it."""
    given = """SELECT job.series, job.archive, token, count(told.id) AS told
               FROM zipmodule.job CROSS JOIN LATERAL generate_series(1, lease_token) AS token
               LEFT JOIN zipmodule.telemetry AS told ON told.job_id = job.job_id AND told.lease_token = token
               GROUP BY 1, 2, 3 HAVING count(told.id) <> 1"""
    after_a_restore = """SELECT series, archive, lease_token AS token, count(*) AS told FROM zipmodule.telemetry
                         WHERE lease_token IS NOT NULL GROUP BY 1, 2, 3 HAVING count(*) <> 1"""
    wrong = [f"{row['series']}/{row['archive']}: token {row['token']} has {row['told']} rows"
             for row in rows(world, after_a_restore if world.restored else given)]
    wrong += [f"{row['series']}/{row['archive']}: token {row['lease_token']} was never given"
              for row in rows(world, """
                SELECT told.* FROM zipmodule.telemetry AS told LEFT JOIN zipmodule.job USING (job_id)
                WHERE told.lease_token > coalesce(job.lease_token, 0)""")]
    wrong += [f"{row['series']}/{row['archive']}: an attempt ended as {row['error_kind']}: {row['error']}"
              for row in rows(world, "SELECT * FROM zipmodule.telemetry")
              if (row["error_kind"] or "") not in EXPECTED_KINDS
              # A build of before the dump, removed as replaced after it.
              and not (world.restored and row["error_kind"] == "corrupt" and row["error"].endswith(" is gone"))]
    return wrong


def files_below(folder):
    return {os.path.relpath(os.path.join(where, name), folder)
            for where, _, names in os.walk(folder) for name in names}


def nothing_is_left(world):
    """No lease, temporary file or orphan; in every store exactly the builds that the database knows, and their links."""
    wrong = [f"{row['series']}/{row['archive']}: a lease is held by {row['lease_by']}"
             for row in rows(world, "SELECT * FROM zipmodule.job WHERE lease_until IS NOT NULL")]
    builds = rows(world, "SELECT b.*, zipmodule.build_path(b.build_id, b.format) AS path, j.series, "
                         "j.archive, j.build_id = b.build_id AS current FROM zipmodule.build AS b "
                         "JOIN zipmodule.job AS j USING (job_id)")
    for worker in world.workers:
        ours = [build for build in builds if world.worker_of(build["instance"]) is worker]
        wrong += [f"{worker.host}: temporary file {name}" for name in sorted(files_below(worker.root / "tmp"))]
        known = {build["path"] for build in ours}
        known |= {path.removesuffix(".zip") + ".sources" for path in known}
        found = {f"builds/{name}" for name in files_below(worker.root / "builds")}
        # After a restore the database does not know every build that a public name leads to, and those stay.
        public = {os.path.relpath(path.resolve(), worker.root.resolve()) for path in (worker.root / "public").rglob("*.zip")
                  } if world.restored else set()
        stay = public | {path.removesuffix(".zip") + ".sources" for path in public}
        wrong += [f"{worker.host}: orphan {path}" for path in sorted(found - known - stay)]
        wrong += [f"{worker.host}: {build['path']} is gone" for build in ours if build["path"] not in found]
        wrong += [f"{worker.host}: {build['path']} was replaced long ago and is still there"
                  for build in ours if not build["current"]]
        linked = {f"{build['series']}/{build['archive']}.zip" for build in ours if build["current"]}
        shown = files_below(worker.root / "public")
        wrong += [f"{worker.host}: {name} has no link" for name in sorted(linked - shown)]
        if not world.restored:
            wrong += [f"{worker.host}: link {name} leads to no current build" for name in sorted(shown - linked)]
    return wrong


def the_mirror_is_what_the_stores_are(world):
    """Every host delivers to one folder: there, too, each link leads to the newest build, whoever came last, and it is whole."""
    mirror = world.workers[0].mirror
    wrong = []
    known = {row["path"] for row in rows(world, "SELECT zipmodule.build_path(build_id, 'zip') AS path FROM zipmodule.delivery")}
    linked = set()
    for job in rows(world, "SELECT s.*, b.instance FROM zipmodule.job_status AS s "
                           "LEFT JOIN zipmodule.job USING (job_id) LEFT JOIN zipmodule.build AS b USING (build_id)"):
        name = f"{job['series']}/{job['archive']}"
        link = mirror / "public" / f"{name}.zip"
        linked.add(f"{name}.zip")
        try:
            if link.resolve() != (mirror / job["path"]).resolve():
                wrong.append(f"{name}: {link} leads to {link.resolve()}, the build is {job['path']}")
            worker = world.worker_of(job["instance"])
            if worker and link.read_bytes() != (worker.root / job["path"]).read_bytes():
                wrong.append(f"{name}: {link} is not what {worker.host} has")
        except (OSError, TypeError) as error:
            wrong.append(f"{name}: {link}: {error}")
    if not world.restored:  # which forgets deliveries; what they brought does no harm
        strays = {f"builds/{name}" for name in files_below(mirror / "builds")} - known
        wrong += [f"{path} in the mirror is nobody's" for path in sorted(strays)]
    wrong += [f"{name} in the mirror is nobody's" for name in sorted(files_below(mirror / "public") - linked)]
    return wrong


def nothing_is_written_beside_a_disk(world):
    """Where a place was away, its empty folder was no place to write to."""
    return [f"{place.folder}: {name} lies below where the disk is mounted"
            for place in world.places.values() for name in place.left_below()]


def every_launch_ended_well(world):
    return [problem for worker in world.workers for problem in worker.problems] + list(world.publisher.problems)


ALL = (every_archive_is_done, contents_are_the_last_published, no_link_went_back,
       every_publish_was_built_or_superseded, attempts_add_up, nothing_is_left, the_mirror_is_what_the_stores_are,
       nothing_is_written_beside_a_disk, every_launch_ended_well)


def findings(world):
    return [f"{check.__name__}: {wrong}" for check in ALL for wrong in check(world)]
