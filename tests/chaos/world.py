"""All parts of one run together: the servers, the hosts, the CMS and who watches the links."""

import os
import pathlib
import shutil
import tempfile
import threading
import time

import checks
import plan
import worker as hosts
from cluster import Cluster, Trouble, as_owner, checked, programs
from places import Place
from publisher import Publisher
from watcher import Watcher

DATABASE = "chaos"
OTHER_DATABASE = "other"  # a host may get it by mistake


class World:
    def __init__(self, binary, seed, workers=plan.WORKERS, small_disks=True, with_standby=True):
        self.database = DATABASE
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="zipmodule-chaos-"))
        self.binary = binary
        self.workers = []
        self.watcher = None
        self.cluster = None
        self.places = {}
        self.restored = False
        self._operators = []
        try:
            self.cluster = Cluster(with_standby)
            self._make_database()
            self.places = {name: Place(self.folder / name, small_disks) for name in ("content", "mirror")}
            self.publisher = Publisher(self.cluster, DATABASE, self.places["content"].disk, seed)
            dsn = self.cluster.dsn(DATABASE, "chaos_worker")
            for index in range(workers):
                self.workers.append(hosts.Worker(index, self.folder, binary, self.folder / "content", dsn, seed,
                                                 small_disks))
                self.workers[-1].places = list(self.places.values())
            self.watcher = Watcher(self.workers)
        except BaseException:
            self.close(keep=False)
            raise

    def _make_database(self):
        config = self.folder / "migrate.yaml"
        config.write_text(f"content: {{roots: {{default: {self.folder}}}}}\narchives: {{root: {self.folder}}}\n"
                          "database: {dsn: ''}\n", encoding="utf-8")
        for database in (DATABASE, OTHER_DATABASE):
            self.cluster.sql(f"CREATE DATABASE {database}", "postgres")
            checked([self.binary, "--config", config, "migrate"],
                    env=dict(os.environ, ZIPMODULE_DSN=self.cluster.dsn(database)))
        self.cluster.sql("CREATE ROLE chaos_cms LOGIN IN ROLE zipmodule_publisher; "
                         "CREATE ROLE chaos_worker LOGIN IN ROLE zipmodule_worker", DATABASE)

    def worker_of(self, instance):
        """Whose store has that id."""
        return next((worker for worker in self.workers if instance and worker.store_id() == instance), None)

    def dump(self):
        return checked(as_owner(programs() / "pg_dump", "-Fp", "-d", self.cluster.dsn(DATABASE)))

    def restore(self, dump):
        """Over the live database, as after a disaster. Each store waits for its operator's word."""
        with self.publisher.lock:
            for worker in self.workers:
                worker.refusing = True
            self.restored = True
            self.cluster.sql(f"DROP DATABASE {DATABASE} WITH (FORCE)", "postgres")
            self.cluster.sql(f"CREATE DATABASE {DATABASE}", "postgres")
            self.cluster.sql(dump, DATABASE)
            self.publisher.forget_acknowledged()
        self._operators = [threading.Thread(target=worker.adopt) for worker in self.workers]
        for operator in self._operators:
            operator.start()

    def finish_restore(self):
        for operator in self._operators:
            operator.join()
        if self.restored:
            self.publisher.publish_again()

    def unfinished(self):
        return int(self.cluster.sql_patiently(
            "SELECT count(*) FROM zipmodule.job_status WHERE state NOT IN ('done', 'cancelled')", DATABASE))

    def wait_until_quiet(self, seconds):
        """Whether nothing is pending or held within that time."""
        deadline = time.monotonic() + seconds
        while self.unfinished() > 0:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.25)
        return True

    def settle(self):
        """After the last launches of cron: what was replaced has had its grace, and each host runs twice more."""
        for worker in self.workers:
            worker.finish()
        time.sleep(hosts.GRACE_SECONDS + 0.5)
        for worker in self.workers:
            worker.configure(linger=0)
            if self.restored:
                worker.sweep()
            for _ in range(2):
                code = worker.launch()
                if code != 0:
                    worker.problems.append(f"{worker.host}: a launch in the calm ended with {code}; see {worker.log}")
        self.watcher.close()

    def findings(self):
        return checks.findings(self)

    def keep_evidence(self):
        """Where the logs and tables of a failed run stay."""
        where = pathlib.Path(os.environ.get("ZIPMODULE_EVIDENCE") or self.folder) / f"chaos-{os.getpid()}"
        where.mkdir(parents=True, exist_ok=True)
        for worker in self.workers:
            shutil.copy(worker.log, where / f"{worker.host}.log")
        self.cluster.keep_logs(where)
        for table in ("job", "build", "telemetry", "delivery", "delivery_telemetry", "run"):
            try:
                text = self.cluster.sql(f"COPY (SELECT * FROM zipmodule.{table}) TO STDOUT CSV HEADER", DATABASE)
            except Trouble as trouble:
                text = str(trouble)
            (where / f"{table}.csv").write_text(text, encoding="utf-8")
        (where / "links.txt").write_text("\n".join(map(str, self.watcher.switches)), encoding="utf-8")
        return where

    def close(self, keep):
        for worker in self.workers:
            worker.close()
        for operator in self._operators:
            operator.join()
        if self.watcher:
            self.watcher.close()
        if self.cluster:
            self.cluster.close()
        for place in self.places.values():
            place.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
