"""A host that builds: its own archive store, lock and name, and a cron that launches `zipmodule run` again and again."""

import os
import pathlib
import random
import signal
import subprocess
import threading
import time

import plan
from cluster import Trouble, checked
from watcher import wait_for_rename

# Done or nothing to do; no database; no space. All else is a finding: no job may fail here for a reason of its own.
EXPECTED_EXITS = {0, 69, 73, 74}
UNDELIVERED = 1  # where a target was away; a job may fail for a root that was
REFUSED = 78  # the store is another database's
FAKETIME = pathlib.Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketimeMT.so.1"

SETTINGS = """\
database:
  dsn: "{dsn}"
content:
  roots: {{default: "{content}"}}
archives:
  root: "{root}"
  grace: {grace}s
  min_free: 1MiB
  deliver: {{mirror: {{url: "{mirror}", required: true}}}}
run:
  lock_file: "{lock}"
  host: "{host}"
  workers: 2
  threads: {threads}
  max_runtime: {runtime}s
  linger: {linger}s
  lease: {lease}s
  max_attempts: 100
zip:
  level: small
"""
GRACE_SECONDS = 5
# Beyond runtime, linger, any stop, and the time-outs of a database that is away.
HANGS_SECONDS = 150
# No process of anybody else has these users: the kernel counts threads by user.
LIMITED_USER = 47_110


class Worker:
    """Calls from any thread. The launches of one host never overlap: its cron waits for the end of each."""

    def __init__(self, index, folder, binary, content, dsn, seed, small_disk=True):
        self.index = index
        self.host = f"host{index}.test"
        self.folder = pathlib.Path(folder) / self.host
        self.root = self.folder / "store"
        self.mirror = pathlib.Path(folder) / "mirror"  # of all hosts
        self.binary = binary
        self.log = self.folder / "run.log"
        self.launches = 0
        self.exits = {}
        self.problems = []
        self.environment = {}
        self.why_no_small_disk = None if small_disk else "not asked for"
        self.why_no_clock = None
        self.why_no_thread_limit = None if os.geteuid() == 0 else "another user to be limited needs root"
        self._thread_limit = None
        self._other_database = None
        self.places = []  # that may be away
        self.refusing = False  # from a restore until the operator's word: runs may be refused
        self._rng = random.Random(f"{seed}/{index}")
        self._lock = threading.Lock()
        self._process = None
        self._killed = set()
        self._stopped = None
        self._over = threading.Event()
        self._thread = None
        self.root.mkdir(parents=True)
        if small_disk:
            self._mount()
        for series in range(plan.SERIES):
            (self.root / "public" / f"series{series}").mkdir(parents=True)
        self.own(self.root)
        self.config = self.folder / "zipmodule.yaml"
        self._values = {"dsn": dsn, "content": content, "root": self.root, "mirror": self.mirror, "lock": self.folder / "run.lock",
                        "host": self.host, "grace": GRACE_SECONDS, "lease": plan.LEASE_SECONDS, "runtime": 15, "linger": 2,
                        "threads": 1}
        self.configure()

    def configure(self, **values):
        """For the next launches: dsn, linger, runtime, ..."""
        self._values.update(values)
        self._write_config()

    def _write_config(self, **once):
        self.config.write_text(SETTINGS.format(**{**self._values, **once}), encoding="utf-8")

    def own(self, folder):
        if not self.why_no_thread_limit:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, LIMITED_USER + self.index, LIMITED_USER + self.index, follow_symlinks=False)

    def store_id(self):
        """As its marker says; None before the first run."""
        marker = self.root / ".zipmodule.store"
        lines = marker.read_text(encoding="utf-8").splitlines() if marker.exists() else []
        return next((line.removeprefix("store ") for line in lines if line.startswith("store ")), None)

    def _mount(self):
        """A disk that can be filled."""
        if os.geteuid() != 0:
            self.why_no_small_disk = "mounting a tmpfs needs root"
            return
        try:
            checked(["mount", "-t", "tmpfs", "-o", "size=96m", "zipmodule-chaos", self.root])
        except Trouble as trouble:
            self.why_no_small_disk = str(trouble)

    # --- cron

    def start(self):
        self._over.clear()
        self._thread = threading.Thread(target=self._launch_again_and_again, name=self.host)
        self._thread.start()

    def finish(self):
        """No launch any more; returns when the last one has ended by itself."""
        self._over.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def _launch_again_and_again(self):
        while not self._over.is_set():
            self.launch()
            self._over.wait(self._rng.uniform(0.05, 1))

    def launch(self):
        """One launch, to its end; returns its exit code, negative for a signal."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment.pop("ZIPMODULE_DSN", None)
        environment.update(self.environment)
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"--- launch {self.launches} {time.strftime('%T')} {self.environment}\n")
            log.flush()
            refusing = self.refusing
            places = [place.state() for place in self.places]
            limited = self._limited()
            other = self._take_other_database()
            self._write_config(**({"threads": 8} if "prlimit" in limited else {}), **({"dsn": other} if other else {}))
            argv = [*limited, self.binary, "--config", self.config, "-v", "run"]
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                       start_new_session=True)
            with self._lock:
                self._process = process
                self.launches += 1
            code = self._wait(process)
            with self._lock:
                self._process = None
            log.write(f"--- exit {code}\n")
        self.exits[code] = self.exits.get(code, 0) + 1
        # While the operator holds the lock a launch ends at once, with 0.
        may_be_locked = refusing or self.refusing
        expected = EXPECTED_EXITS - {0} | {REFUSED} if other and not may_be_locked else EXPECTED_EXITS
        if refusing or self.refusing:
            expected = expected | {REFUSED}
        if places != [place.state() for place in self.places] or not all(there for _, there in places):
            expected = expected | {UNDELIVERED}
        if code not in expected and not (code == -signal.SIGKILL and process.pid in self._killed):
            self.problems.append(f"{self.host}: launch {self.launches - 1} ended with {code}; see {self.log}")
        return code

    def _wait(self, process):
        """Its exit code. A launch that hangs would be waited for by cron for ever."""
        try:
            return process.wait(timeout=HANGS_SECONDS)
        except subprocess.TimeoutExpired:
            self.problems.append(f"{self.host}: launch {self.launches - 1} did not end; see {self.log}")
            self._killed.add(process.pid)
            process.kill()
            return process.wait()

    def _limited(self):
        """What a launch is started by: the host's user, and for one launch few threads."""
        threads, self._thread_limit = self._thread_limit, None
        return self.as_user() + (["prlimit", f"--nproc={threads}", "--"] if threads and not self.why_no_thread_limit else [])

    def as_user(self):
        """Root has no limit of threads, so a host's runs are another user's, who may read and write everything."""
        if self.why_no_thread_limit:
            return []
        user = str(LIMITED_USER + self.index)
        rights = "+dac_override,+dac_read_search,+fowner,+chown"
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--inh-caps={rights}",
                f"--ambient-caps={rights}", "--"]

    def adopt(self, seconds=120):
        """The operator's word after a restore; again while a run, the disk or the server is in the way."""
        argv = [*self.as_user(), self.binary, "--config", self.config, "store", "adopt"]
        deadline = time.monotonic() + seconds
        while self.store_id() is not None and time.monotonic() < deadline:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            last = done.stderr.strip()
            time.sleep(0.5)
        else:
            if self.store_id() is not None:
                self.problems.append(f"{self.host}: the store could not be adopted: {last}")
        self.refusing = False

    def sweep(self):
        subprocess.run([*self.as_user(), self.binary, "--config", self.config, "store", "sweep"], stdin=subprocess.DEVNULL, check=False,
                       capture_output=True)

    # --- troubles: each answers whether there was something to trouble, kill and stop with a moment

    def _signal(self, number, wait_seconds=2.0):
        deadline = time.monotonic() + wait_seconds
        while True:
            with self._lock:
                if self._process is not None and self._process.poll() is None:
                    if number == signal.SIGKILL:
                        self._killed.add(self._process.pid)
                    self._process.send_signal(number)
                    return self._process.pid
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)

    def _moment(self, at_rename):
        """Waits for the moment between a build's rename and its commit, where so much can go wrong; says whether it came."""
        return "at rename" if at_rename and wait_for_rename(self.root / "tmp", b".zip", 1.5) else ""

    def kill(self, at_rename=False):
        """None where there was nobody to kill, else when it was."""
        moment = self._moment(at_rename)
        return None if self._signal(signal.SIGKILL) is None else moment

    def end(self):
        """As an operator ends a run."""
        return self._signal(signal.SIGTERM) is not None

    def stop(self, at_rename=False):
        moment = self._moment(at_rename)
        self._stopped = self._signal(signal.SIGSTOP)
        return None if self._stopped is None else moment

    def go_on(self):
        with self._lock:
            if self._process is None or self._process.pid != self._stopped:
                return False  # killed meanwhile
            self._process.send_signal(signal.SIGCONT)
            return True

    def fill(self):
        if self.why_no_small_disk:
            return False
        with open(self.folder / "store" / "ballast", "ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(1 << 20))
            except OSError:
                return True

    def free(self):
        (self.root / "ballast").unlink(missing_ok=True)
        return not self.why_no_small_disk

    def limit_threads(self, threads):
        """For the next launch."""
        self._thread_limit = threads
        return not self.why_no_thread_limit

    def misdirect(self, dsn):
        """The next launch has another database. A store that was never used would be that one's from then on."""
        if self.store_id() is None:
            return False
        self._other_database = dsn
        return True

    def _take_other_database(self):
        other, self._other_database = self._other_database, None
        return other

    def set_clock(self, offset):
        """From the next launch on. The kernel's times of files stay right: the clock of this host alone is wrong."""
        if not FAKETIME.exists():
            raise Trouble(f"{FAKETIME} is missing: scripts/setup --tests installs it")
        if "libasan" in checked(["ldd", self.binary]):
            self.why_no_clock = "a sanitizer's library does not bear another before it"
            return False
        wrong = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
                 "FAKETIME_DONT_RESET": "1"}
        shown = int(checked(["date", "+%s"], env={**os.environ, **wrong}))
        if abs(shown - time.time()) < 3000:
            raise Trouble(f"{FAKETIME} does not change the clock")
        self.environment = wrong
        return True

    def close(self):
        self._over.set()
        with self._lock:
            if self._process is not None:
                self._killed.add(self._process.pid)
                self._process.kill()
        if self._thread:
            self._thread.join()
        if os.path.ismount(self.root):
            subprocess.run(["umount", "--lazy", self.root], check=False)
