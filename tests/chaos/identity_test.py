#!/usr/bin/env python3
"""A store meets a database that is not its own: another one, an older one, or its own while the store is a copy. The run is
refused and changes nothing; after the operator's word all goes on, and nothing good was lost.

    identity_test.py BINARY [unittest's own arguments]
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import checks
import worker as hosts
from cluster import as_owner, checked, programs
from world import DATABASE, OTHER_DATABASE, World

BINARY = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else ""
ARCHIVES = 4
REFUSED = 78


def tree(folder):
    """Every file and link below, with what it holds or leads to."""
    seen = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            seen[os.path.relpath(path, folder)] = (os.readlink(path) if os.path.islink(path) else
                                                   hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest())
    return seen


def published(folder):
    """Only what readers see: links, builds. A refused run may touch its lock."""
    return {name: what for name, what in tree(folder).items() if name.startswith(("public/", "builds/"))}


class Identity(unittest.TestCase):
    def setUp(self):
        self.world = World(BINARY, seed=1, workers=1, small_disks=False, with_standby=False)
        self.addCleanup(lambda: self.world.close(keep=False))
        self.worker = self.world.workers[0]
        self.worker.configure(linger=0)

    def publish(self):
        for archive in range(ARCHIVES):
            self.world.publisher.publish(archive, 40)

    def launch(self, expected=0, worker=None):
        worker = worker or self.worker
        code = worker.launch()
        self.assertEqual(code, expected, worker.log.read_text(encoding="utf-8"))
        worker.problems.clear()

    def command(self, *words, worker=None):
        worker = worker or self.worker
        done = subprocess.run([*worker.as_user(), BINARY, "--config", worker.config, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def word_of_the_operator(self, *words, worker=None):
        code, text = self.command(*words, worker=worker)
        self.assertEqual(code, 0, text)

    def refused(self, worker=None):
        """A launch that changes nothing, in the store or the mirror."""
        worker = worker or self.worker
        before = published(worker.root), published(worker.mirror)
        self.launch(REFUSED, worker)
        self.assertEqual((published(worker.root), published(worker.mirror)), before)
        log = worker.log.read_text(encoding="utf-8")
        self.assertIn("zipmodule store", log)
        code, text = self.command("check", worker=worker)
        self.assertNotEqual(code, 0, text)

    def all_is_well(self):
        self.assertTrue(self.world.wait_until_quiet(1))
        self.world.settle()
        self.assertEqual(self.world.findings(), [])

    def test_another_database_is_refused_and_the_right_one_goes_on(self):
        self.publish()
        self.launch()
        cluster, worker = self.world.cluster, self.worker
        worker.configure(dsn=cluster.dsn(OTHER_DATABASE, "chaos_worker"))
        self.refused()
        self.refused()
        worker.configure(dsn=cluster.dsn(DATABASE, "chaos_worker"))
        self.publish()
        self.launch()
        self.all_is_well()

    def dump(self):
        return checked(as_owner(programs() / "pg_dump", "-Fp", "-d", self.world.cluster.dsn(DATABASE)))

    def restore(self, text):
        cluster = self.world.cluster
        cluster.sql(f"DROP DATABASE {DATABASE} WITH (FORCE)", "postgres")
        cluster.sql(f"CREATE DATABASE {DATABASE}", "postgres")
        cluster.sql(text, DATABASE)

    def test_after_a_restored_dump_nothing_goes_back_and_nothing_is_removed(self):
        self.publish()
        self.launch()
        older = self.dump()
        self.publish()
        self.launch()
        newest = published(self.worker.root)
        links = {name: to for name, to in newest.items() if name.startswith("public/")}
        self.restore(older)
        self.refused()
        self.word_of_the_operator("store", "adopt")
        for _ in range(2):
            self.launch()
        now = published(self.worker.root)
        self.assertEqual({name: now.get(name) for name in links}, links)
        for name, to in links.items():
            build = os.path.normpath(os.path.join(os.path.dirname(name), to))
            self.assertEqual(now.get(build), newest[build])
        self.assertEqual(self.world.watcher.problems, [])
        # The publishes since the dump are lost with the database; a CMS sends them again.
        self.world.publisher.forget_acknowledged()
        self.publish()
        self.launch()
        self.assertTrue(self.world.wait_until_quiet(1))
        self.world.settle()
        for check in (checks.every_archive_is_done, checks.contents_are_the_last_published, checks.no_link_went_back,
                      checks.the_mirror_is_what_the_stores_are, checks.every_launch_ended_well):
            self.assertEqual(check(self.world), [])

    def test_a_copy_of_a_store_is_refused_and_renewed(self):
        self.publish()
        self.launch()
        copy = hosts.Worker(7, self.world.folder, BINARY, self.world.places["content"].folder,
                            self.world.cluster.dsn(DATABASE, "chaos_worker"), 1, small_disk=False)
        self.addCleanup(copy.close)
        copy.configure(linger=0)
        shutil.rmtree(copy.root)
        shutil.copytree(self.worker.root, copy.root, symlinks=True)
        copy.own(copy.root)
        self.publish()
        self.launch()
        self.refused(copy)
        self.publish()
        self.launch()
        self.word_of_the_operator("store", "renew", worker=copy)
        self.launch(worker=copy)
        self.launch()
        self.all_is_well()


if __name__ == "__main__":
    hosts.GRACE_SECONDS = 1
    unittest.main(verbosity=2)
