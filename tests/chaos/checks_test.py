#!/usr/bin/env python3
"""Each of the final checks fails when it should: a small site is built in peace, then damaged in one way at a time.

    checks_test.py BINARY [unittest's own arguments]
"""

import os
import shutil
import signal
import sys
import unittest
import zipfile

import checks
import worker as hosts
from places import Place
from watcher import Watcher
from world import DATABASE, World

TABLES = ("job", "build", "telemetry", "delivery")


def damage(sql):
    """What a test does to the database, in the words of psql."""
    return WORLD.cluster.sql(sql, DATABASE)


class Checks(unittest.TestCase):
    def setUp(self):
        self.addCleanup(self.restore)

    def restore(self):
        damage("TRUNCATE zipmodule.job, zipmodule.build, zipmodule.telemetry, zipmodule.delivery, zipmodule.lane_lease; " +
               "".join(f"INSERT INTO zipmodule.{table} OVERRIDING SYSTEM VALUE SELECT * FROM saved.{table};"
                       for table in TABLES))
        for worker in WORLD.workers:
            shutil.rmtree(worker.root)
            shutil.copytree(SAVED / worker.host, worker.root, symlinks=True)
            worker.problems.clear()
        shutil.rmtree(WORLD.workers[0].mirror)
        shutil.copytree(SAVED / "mirror", WORLD.workers[0].mirror, symlinks=True)
        WORLD.watcher.problems.clear()

    def expect(self, check, words):
        found = check(WORLD)
        self.assertTrue(any(words in line for line in found), f"{check.__name__} found only {found}")

    @staticmethod
    def a_build():
        """(worker, link, file) of one archive's current build."""
        build = checks.rows(WORLD, "SELECT j.series, j.archive, b.*, "
                                   "zipmodule.build_path(b.build_id, b.format) AS path FROM zipmodule.job AS j "
                                   "JOIN zipmodule.build AS b USING (build_id) ORDER BY j.job_id LIMIT 1")[0]
        worker = WORLD.worker_of(build["instance"])
        return worker, worker.root / "public" / build["series"] / f"{build['archive']}.zip", worker.root / build["path"]

    def test_peace(self):
        self.assertEqual(WORLD.findings(), [])

    def test_an_archive_is_deleted(self):
        self.a_build()[2].unlink()
        self.expect(checks.contents_are_the_last_published, "")
        self.expect(checks.nothing_is_left, "is gone")

    def test_an_archive_has_other_bytes(self):
        path = self.a_build()[2]
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in entries.items():
                archive.writestr(name, data + b"!" if name == "text.txt" else data)
        self.expect(checks.contents_are_the_last_published, "these differ: ['text.txt']")

    def test_an_archive_is_cut_short(self):
        path = self.a_build()[2]
        os.truncate(path, path.stat().st_size // 2)
        self.expect(checks.contents_are_the_last_published, "unzip")

    def test_an_orphan_is_left(self):
        path = self.a_build()[2]
        shutil.copy(path, path.with_name("0" * 32 + ".zip"))
        self.expect(checks.nothing_is_left, "orphan")

    def test_a_temporary_file_is_left(self):
        (self.a_build()[0].root / "tmp" / "left.zip").write_bytes(b"")
        self.expect(checks.nothing_is_left, "temporary file")

    def test_a_replaced_build_is_left(self):
        path = self.a_build()[2]
        other = path.with_name("0" * 32 + ".zip")
        shutil.copy(path, other)
        damage("INSERT INTO zipmodule.build (build_id, job_id, instance, revision, bytes, entries, fingerprint, "
               "mtime_ns, created_at, retired_at) SELECT repeat('0', 32), job_id, instance, revision, "
               "bytes, entries, fingerprint, mtime_ns, created_at, now() "
               "FROM zipmodule.build JOIN (SELECT build_id FROM zipmodule.job ORDER BY job_id LIMIT 1) AS j USING (build_id)")
        self.expect(checks.nothing_is_left, "still there")

    def test_a_link_is_gone(self):
        self.a_build()[1].unlink()
        self.expect(checks.nothing_is_left, "has no link")
        self.expect(checks.contents_are_the_last_published, "")

    def test_a_link_of_another_host_is_left(self):
        worker, link, _ = self.a_build()
        other = next(one for one in WORLD.workers if one is not worker)
        (other.root / link.relative_to(worker.root)).symlink_to("../../builds/00/none.zip")
        self.expect(checks.nothing_is_left, "leads to no current build")

    def test_a_lease_is_held(self):
        damage("UPDATE zipmodule.job SET pending = true, lease_until = now() + interval '1 hour' WHERE job_id = 1")
        self.expect(checks.nothing_is_left, "a lease is held")
        self.expect(checks.every_archive_is_done, "running")

    def test_a_job_was_given_up(self):
        damage("UPDATE zipmodule.job SET built_revision = wanted_revision - 1 WHERE job_id = 1")
        self.expect(checks.every_archive_is_done, "failed")

    def test_a_job_is_lost(self):
        damage("DELETE FROM zipmodule.job WHERE job_id = 1")
        self.expect(checks.every_archive_is_done, "does not know it")

    def test_an_acknowledged_publish_is_lost(self):
        damage("UPDATE zipmodule.job SET wanted_revision = 1, built_revision = 1, metadata = '{\"generation\": 1}' "
               "WHERE job_id = 1")
        self.expect(checks.contents_are_the_last_published, "was acknowledged")

    def test_a_revision_was_never_built(self):
        damage("DELETE FROM zipmodule.telemetry WHERE job_id = 1 AND revision = 2")
        self.expect(checks.every_publish_was_built_or_superseded, "revision 2 was published, 1 is the last")

    def test_an_attempt_has_no_row(self):
        damage("DELETE FROM zipmodule.telemetry WHERE job_id = 1 AND lease_token = 1")
        self.expect(checks.attempts_add_up, "token 1 has 0 rows")

    def test_a_row_belongs_to_no_attempt(self):
        damage("UPDATE zipmodule.telemetry SET lease_token = 99 WHERE job_id = 1 AND lease_token = 1")
        self.expect(checks.attempts_add_up, "was never given")

    def test_an_attempt_found_damage(self):
        damage("UPDATE zipmodule.telemetry SET error_kind = 'corrupt' WHERE job_id = 1")
        self.expect(checks.attempts_add_up, "ended as corrupt")

    def switched_to(self, file):
        """A watcher sees the link of one archive being switched to that file."""
        WORLD.watcher = Watcher(WORLD.workers)
        worker, link, current = self.a_build()
        for target in (current, file):
            fresh = worker.root / "tmp" / "new.link"
            fresh.symlink_to(os.path.relpath(target, link.parent))
            fresh.rename(link)
            WORLD.watcher.wait_for(target.name)
        WORLD.watcher.close()

    def test_a_link_goes_back_to_an_older_revision(self):
        older = self.a_build()[2].with_name("older.zip")
        with zipfile.ZipFile(self.a_build()[2]) as archive, zipfile.ZipFile(older, "w") as out:
            out.writestr("about.json", archive.read("about.json").replace(b'"generation": 2', b'"generation": 1'))
        self.switched_to(older)
        self.expect(checks.no_link_went_back, "from generation 2 back to 1")

    def test_a_link_leads_to_half_an_archive(self):
        half = self.a_build()[2].with_name("half.zip")
        half.write_bytes(self.a_build()[2].read_bytes()[:1000])
        self.switched_to(half)
        self.expect(checks.no_link_went_back, "can't be read")

    def test_no_link_was_seen(self):
        seen, WORLD.watcher.switches = WORLD.watcher.switches, []
        self.addCleanup(setattr, WORLD.watcher, "switches", seen)
        self.expect(checks.no_link_went_back, "at all")

    def mirrored(self):
        """(link, file) of one archive's copy."""
        worker, link, _ = self.a_build()
        link = worker.mirror / link.relative_to(worker.root)
        return link, link.resolve()

    def test_a_copy_has_other_bytes(self):
        path = self.mirrored()[1]
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        self.expect(checks.the_mirror_is_what_the_stores_are, "is not what")

    def test_a_copys_link_leads_to_an_older_one(self):
        link, path = self.mirrored()
        shutil.copy(path, path.with_name("older.zip"))
        link.unlink()
        link.symlink_to(path.with_name("older.zip"))
        self.expect(checks.the_mirror_is_what_the_stores_are, "leads to")
        self.expect(checks.the_mirror_is_what_the_stores_are, "is nobody's")

    def test_a_copy_is_gone(self):
        self.mirrored()[1].unlink()
        self.expect(checks.the_mirror_is_what_the_stores_are, "No such file")

    def test_a_copy_is_half_sent(self):
        link, path = self.mirrored()
        path.with_name(f".{path.name}.part").write_bytes(b"half")
        link.with_name("stray.zip").symlink_to(path)
        self.expect(checks.the_mirror_is_what_the_stores_are, ".part in the mirror is nobody's")
        self.expect(checks.the_mirror_is_what_the_stores_are, "stray.zip in the mirror is nobody's")

    def test_a_launch_crashes(self):
        worker = WORLD.workers[0]
        script = worker.folder / "crash"
        script.write_text(f"#!/bin/sh\nkill -{int(signal.SIGSEGV)} $$\n", encoding="utf-8")
        script.chmod(0o755)
        self.addCleanup(setattr, worker, "binary", worker.binary)
        worker.binary = script
        worker.launch()
        self.expect(checks.every_launch_ended_well, "ended with -11")


    def test_a_file_is_written_while_its_disk_is_away(self):
        place = Place(WORLD.folder / "place")
        if place.why_not:
            self.skipTest(place.why_not)
        self.addCleanup(place.close)
        self.addCleanup(setattr, WORLD, "places", WORLD.places)
        WORLD.places = {"place": place}
        (place.folder / "file").touch()
        self.assertEqual(checks.nothing_is_written_beside_a_disk(WORLD), [])
        place.away()
        (place.folder / "stray").touch()
        place.back()
        self.expect(checks.nothing_is_written_beside_a_disk, "stray lies below")
        self.assertTrue((place.folder / "file").exists())

    def test_a_launch_hangs(self):
        worker = WORLD.workers[0]
        script = worker.folder / "hang"
        script.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
        script.chmod(0o755)
        self.addCleanup(setattr, worker, "binary", worker.binary)
        self.addCleanup(setattr, hosts, "HANGS_SECONDS", hosts.HANGS_SECONDS)
        hosts.HANGS_SECONDS = 1
        worker.binary = script
        worker.launch()
        self.expect(checks.every_launch_ended_well, "did not end")


def make_world(binary):
    world = World(binary, seed=1, workers=2, small_disks=False, with_standby=False)
    for _ in range(2):
        for archive in range(4):
            world.publisher.publish(archive, 40)
        for worker in world.workers:
            worker.configure(linger=0)
            worker.launch()
    world.settle()
    saved = world.folder / "saved"
    for worker in world.workers:
        shutil.copytree(worker.root, saved / worker.host, symlinks=True)
    shutil.copytree(world.workers[0].mirror, saved / "mirror", symlinks=True)
    world.cluster.sql("CREATE SCHEMA saved;" + "".join(
        f"CREATE TABLE saved.{table} AS SELECT * FROM zipmodule.{table};" for table in TABLES), DATABASE)
    return world, saved


if __name__ == "__main__":
    hosts.GRACE_SECONDS = 1
    WORLD, SAVED = make_world(os.path.abspath(sys.argv.pop(1)))
    try:
        unittest.main(verbosity=2)
    finally:
        WORLD.close(keep=False)
