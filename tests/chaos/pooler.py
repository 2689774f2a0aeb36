"""pgbouncer in transaction mode, for one test."""

import os
import pathlib
import shutil
import subprocess
import time

from cluster import PORT, Trouble, as_owner, owner


class Pooler:
    """In front of a server; two sessions of it serve all. `ignored`: start parameters that it takes and forgets."""

    PORT = 6432

    def __init__(self, server, folder, users, ignored=""):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        users_file = self.folder / "users.txt"
        users_file.write_text("".join(f'"{user}" ""\n' for user in users), encoding="utf-8")
        settings = self.folder / "pgbouncer.ini"
        self.log = self.folder / "pgbouncer.log"
        settings.write_text(
            f"[databases]\n* = host={server.socket} port={PORT}\n[pgbouncer]\npool_mode = transaction\n"
            f"listen_port = {self.PORT}\nunix_socket_dir = {self.folder}\nauth_type = trust\nauth_file = {users_file}\n"
            f"default_pool_size = 2\nignore_startup_parameters = {ignored}\nlogfile = {self.log}\n", encoding="utf-8")
        if os.geteuid() == 0:
            shutil.chown(self.folder, owner().pw_uid, owner().pw_gid)
        self.process = subprocess.Popen(as_owner("/usr/sbin/pgbouncer", "-q", settings), stdin=subprocess.DEVNULL, cwd="/")
        deadline = time.monotonic() + 30
        while not (self.folder / f".s.PGSQL.{self.PORT}").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"pgbouncer does not start (scripts/setup --tests installs it); see {self.log}")
            time.sleep(0.02)

    def dsn(self, database, user):
        return f"host={self.folder} port={self.PORT} dbname={database} user={user} connect_timeout=3"

    def close(self):
        self.process.terminate()
        self.process.wait()
