"""PostgreSQL for one test: a primary, and a standby that it waits for at every commit. Unix sockets only."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

PORT = 5432


class Trouble(Exception):
    """The test itself could not go on; says what to do."""


def programs():
    """The folder of the newest server's programs."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if not found:
        raise Trouble("no PostgreSQL server in /usr/lib/postgresql (scripts/setup --database installs it)")
    return found[-1].parent


def owner():
    """Whom servers run as: they refuse to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def as_owner(*argv):
    """argv for that user. Where this process is killed, so is the server."""
    user = owner()
    words = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() == 0:
        words += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    return words + ["--"] + [str(word) for word in argv]


def checked(argv, **options):
    """Runs a program that has to succeed; returns its stdout."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          cwd="/", timeout=options.pop("timeout", 60), **options)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, argv))}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Server:
    """One PostgreSQL; its process is a child of this one."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.socket = self.folder / "run"
        self.log = self.folder / "server.log"
        self.process = None

    def write_settings(self, settings):
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value}'\n")

    def launch(self):
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(as_owner(programs() / "postgres", "-D", self.data), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd="/")
        self.wait_until_it_answers()

    def wait_until_it_answers(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Trouble(f"the server ended at once; see {self.log}")
            asked = subprocess.run([programs() / "pg_isready", "-q", "-h", self.socket, "-p", str(PORT)], check=False)
            if asked.returncode == 0:
                return
            time.sleep(0.05)
        raise Trouble(f"the server did not answer within a minute; see {self.log}")

    def stop(self, mode):
        """mode: fast (ends all sessions, writes a checkpoint), immediate (as a crash)."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self, mode):
        self.stop(mode)
        self.launch()


class Cluster:
    """Primary and standby; `close` removes both. The first one to answer as read-write is used by everybody."""

    def __init__(self, with_standby=True):
        # A socket's path holds 107 bytes, and the servers' user has to reach it.
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="zipmodule-pg-", dir="/tmp"))
        self.place.chmod(0o755)
        self.primary = Server(self.place / "primary")
        self.standby = Server(self.place / "standby") if with_standby else None
        self.promoted = False
        try:
            self._make_primary()
            if with_standby:
                self._make_standby()
        except BaseException:
            self.close()
            raise

    def _own(self, *folders):
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(folder, owner().pw_uid, owner().pw_gid)

    def _make_primary(self):
        server = self.primary
        self._own(server.folder, server.socket)
        checked(as_owner(programs() / "initdb", "-D", server.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                         "--locale=C.UTF-8", "--no-sync"))
        # fsync off: servers are killed here, the machine is not.
        server.write_settings({
            "listen_addresses": "", "unix_socket_directories": server.socket, "port": PORT, "fsync": "off",
            "max_connections": 60, "shared_buffers": "32MB", "wal_level": "replica", "wal_keep_size": "512MB",
            "wal_retrieve_retry_interval": "200ms", "synchronous_commit": "on", "timezone": "UTC",
            "log_timezone": "UTC", "log_line_prefix": "%m [%p] %d %a "})
        server.launch()

    def _make_standby(self):
        server = self.standby
        self._own(server.folder, server.socket)
        checked(as_owner(programs() / "pg_basebackup", "-h", self.primary.socket, "-p", str(PORT), "-U", "postgres",
                         "-D", server.data, "-X", "stream", "-c", "fast", "--no-sync"))
        server.write_settings({
            "unix_socket_directories": server.socket,
            "primary_conninfo": f"host={self.primary.socket} port={PORT} user=postgres application_name=standby"})
        signal_file = server.data / "standby.signal"
        signal_file.touch()
        server.launch()
        # From here on a commit is answered when the standby has it, too: what was acknowledged outlives the primary.
        self.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "postgres")
        self.sql("SELECT pg_reload_conf()", "postgres")
        deadline = time.monotonic() + 30
        while self.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "postgres") != "1":
            if time.monotonic() > deadline:
                raise Trouble(f"the standby does not follow; see {server.log}")
            time.sleep(0.05)

    @property
    def current(self):
        return self.standby if self.promoted else self.primary

    def dsn(self, database, user="postgres"):
        hosts = ",".join(str(server.socket) for server in (self.primary, self.standby) if server)
        return (f"host={hosts} port={PORT} dbname={database} user={user} target_session_attrs=read-write "
                "connect_timeout=3")

    def promote(self):
        """The primary dies, the standby takes over: with all that was acknowledged."""
        self.primary.stop("immediate")
        checked(as_owner(programs() / "pg_ctl", "-D", self.standby.data, "-s", "-w", "-t", "60", "promote"))
        self.promoted = True

    def psql(self, statements, database, user="postgres", timeout=30, dsn=None):
        """(exit code, rows with fields divided by '|', messages); -1 where the time was over."""
        argv = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", dsn or self.dsn(database, user)]
        try:
            done = subprocess.run(argv, input=statements, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            return -1, "", "timeout"
        return done.returncode, done.stdout.rstrip("\n"), done.stderr

    def sql(self, statements, database, user="postgres"):
        code, rows, messages = self.psql(statements, database, user)
        if code != 0:
            raise Trouble(f"{statements}: {messages.strip()}")
        return rows

    def sql_patiently(self, statements, database, seconds=30):
        """The same for a server that may be away just now; for statements that may be repeated."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.sql(statements, database)
            except Trouble:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def keep_logs(self, folder):
        for server in (self.primary, self.standby):
            if server and server.log.exists():
                shutil.copy(server.log, pathlib.Path(folder) / f"{server.folder.name}.log")

    def close(self):
        for server in (self.standby, self.primary):
            if server:
                server.stop("immediate")
        shutil.rmtree(self.place, ignore_errors=True)
