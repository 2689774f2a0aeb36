#!/usr/bin/env python3
"""The database in trouble, one thing at a time: a failover in the middle of builds, and a pool between worker and server.

    database_test.py BINARY [unittest's own arguments]
"""

import os
import sys
import threading
import time
import unittest

import checks
import worker as hosts
from pooler import Pooler
from world import DATABASE, World

BINARY = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else ""
ARCHIVES = 6
SETTINGS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone", "IntervalStyle",
            "transaction_isolation")


class Failover(unittest.TestCase):
    def setUp(self):
        self.world = World(BINARY, seed=1, workers=2, small_disks=False)
        self.addCleanup(lambda: self.world.close(keep=False))
        self.worker = self.world.workers[0]
        self.worker.configure(runtime=120)

    def begin_a_run(self):
        """A launch of the first host, in the middle of a build."""
        run = threading.Thread(target=self.worker.launch)
        run.start()
        deadline = time.monotonic() + 30
        while not any((self.worker.root / "tmp").glob("*.zip")):
            self.assertLess(time.monotonic(), deadline, "nothing is being built")
            time.sleep(0.002)
        return run

    def attempts(self):
        return {row["outcome"]: row["count"] for row in checks.rows(
            self.world, "SELECT outcome, count(*) FROM zipmodule.telemetry GROUP BY 1")}

    def test_a_failover_in_the_middle_of_builds_loses_nothing(self):
        for archive in range(ARCHIVES):
            self.world.publisher.publish(archive, 4000)
        self.assertEqual(self.world.publisher.unknown, 0)
        run = self.begin_a_run()
        self.world.cluster.promote()
        # Some more that only the new primary knows.
        for archive in range(ARCHIVES, ARCHIVES + 2):
            self.world.publisher.publish(archive, 40)
        run.join()
        # The leases outlive a failover: what was being built was committed, by the same launch.
        self.assertEqual(self.worker.exits, {0: 1}, self.worker.log.read_text(encoding="utf-8"))
        self.assertTrue(self.world.wait_until_quiet(1))
        self.world.settle()
        self.assertEqual(self.world.findings(), [])
        attempts = self.attempts()
        self.assertEqual(attempts.pop("done"), ARCHIVES + 2)
        # Two workers: no more than these two can have been in flight.
        self.assertLessEqual(sum(attempts.values()), 2, attempts)

    def test_a_killed_host_and_a_failover_repeat_at_most_what_was_in_flight(self):
        for archive in range(ARCHIVES):
            self.world.publisher.publish(archive, 4000)
        run = self.begin_a_run()
        self.worker.kill()
        run.join()
        self.world.cluster.promote()
        self.assertEqual(self.worker.launch(), 0, self.worker.log.read_text(encoding="utf-8"))
        self.world.settle()
        self.assertEqual(self.world.findings(), [])
        attempts = self.attempts()
        self.assertEqual(attempts.pop("done"), ARCHIVES)
        self.assertGreaterEqual(attempts["lost"], 1)
        self.assertLessEqual(attempts["lost"], 2)

    def test_a_run_that_lingers_outlasts_a_restart_of_the_server(self):
        self.worker.configure(linger=60)
        self.world.publisher.publish(0, 40)
        run = threading.Thread(target=self.worker.launch)
        run.start()
        self.assertTrue(self.world.wait_until_quiet(20))
        server = self.world.cluster.primary
        server.stop("immediate")
        time.sleep(3)
        server.launch()
        self.world.publisher.publish(1, 40)
        self.assertTrue(self.world.wait_until_quiet(20))
        self.assertTrue(self.worker.end())
        run.join()
        self.assertEqual(self.worker.exits, {0: 1}, self.worker.log.read_text(encoding="utf-8"))
        self.assertEqual(self.attempts(), {"done": 2})

    def test_a_standby_that_is_named_first_is_passed_by(self):
        cluster = self.world.cluster
        both = ",".join(str(server.socket) for server in (cluster.primary, cluster.standby))
        standby_first = ",".join(str(server.socket) for server in (cluster.standby, cluster.primary))
        dsn = cluster.dsn(DATABASE, "chaos_worker").replace(both, standby_first)
        self.assertIn(standby_first, dsn)
        self.worker.configure(dsn=dsn, linger=0)
        self.world.publisher.publish(0, 40)
        self.assertEqual(self.worker.launch(), 0, self.worker.log.read_text(encoding="utf-8"))
        self.assertTrue(self.world.wait_until_quiet(1))
        # And the check can fail: with any session taken, the run meets a server that does not take writes.
        self.worker.configure(dsn=dsn.replace("read-write", "any"))
        self.assertEqual(self.worker.launch(), 69)
        self.assertIn("read-only", self.worker.log.read_text(encoding="utf-8"))


class Pool(unittest.TestCase):
    def setUp(self):
        self.world = World(BINARY, seed=1, workers=1, small_disks=False, with_standby=False)
        self.addCleanup(lambda: self.world.close(keep=False))
        self.world.cluster.sql(
            "CREATE TABLE public.seen (mark text, settings text); GRANT INSERT ON public.seen TO zipmodule_worker; "
            "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES ("
            "coalesce(current_setting('zipmodule.session', true), 'none'), concat_ws(' ', "
            + ", ".join(f"current_setting('{name}')" for name in SETTINGS) + ")); RETURN NEW; END $$; "
            "CREATE TRIGGER note AFTER INSERT ON zipmodule.run FOR EACH ROW EXECUTE FUNCTION public.note(); "
            # What a session has that says nothing itself.
            f"ALTER DATABASE {DATABASE} SET timezone = 'Asia/Tokyo'; ALTER DATABASE {DATABASE} SET intervalstyle = 'iso_8601'; "
            f"ALTER DATABASE {DATABASE} SET default_transaction_isolation = 'serializable'", DATABASE)

    def run_through(self, dsn):
        world, worker = self.world, self.world.workers[0]
        worker.configure(dsn=dsn, linger=0)
        for archive in range(ARCHIVES):
            world.publisher.publish(archive, 40)
        self.assertEqual(worker.launch(), 0, worker.log.read_text(encoding="utf-8"))
        self.assertTrue(world.wait_until_quiet(1))
        world.settle()
        self.assertEqual(world.findings(), [])
        return world.cluster.sql("SELECT DISTINCT mark, settings FROM public.seen", DATABASE)

    def run_through_pool(self, ignored, options=""):
        pooler = Pooler(self.world.cluster.primary, self.world.cluster.place / "pool", ["chaos_worker"], ignored)
        self.addCleanup(pooler.close)
        return self.run_through(pooler.dsn(DATABASE, "chaos_worker") + options)

    def test_without_a_pool_settings_come_with_the_connection(self):
        self.assertEqual(self.run_through(self.world.cluster.dsn(DATABASE, "chaos_worker")),
                         "set|30s 10s 30s UTC postgres read committed")

    def test_a_pool_that_refuses_start_options(self):
        self.assertEqual(self.run_through_pool(""), "none|30s 10s 30s UTC postgres read committed")

    def test_a_pool_that_ignores_start_options(self):
        self.assertEqual(self.run_through_pool("options"), "none|30s 10s 30s UTC postgres read committed")

    def test_a_limit_that_the_operator_gave_is_left_alone(self):
        self.assertEqual(self.run_through_pool("options", " options='-c lock_timeout=7s'"),
                         "none|30s 0 30s UTC postgres read committed")


if __name__ == "__main__":
    hosts.GRACE_SECONDS = 1
    unittest.main(verbosity=2)
