"""Sees every switch of a public link as it happens, and opens what the link leads to at once."""

import collections
import ctypes
import dataclasses
import errno
import json
import os
import select
import struct
import threading
import time
import zipfile

IN_CREATE, IN_MOVED_FROM, IN_MOVED_TO, IN_Q_OVERFLOW = 0x100, 0x40, 0x80, 0x4000
EVENT = struct.Struct("iIII")


def wait_for_rename(folder, suffix, seconds):
    """Until a file of that suffix is moved out of the folder; False when the time is over."""
    libc = ctypes.CDLL(None, use_errno=True)
    inotify = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if libc.inotify_add_watch(inotify, str(folder).encode(), IN_MOVED_FROM) < 0:
            return False  # not there before the first run
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([inotify], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return False
            # A suffix within the bytes of several events is as good as at the end of one: names are random digits.
            if suffix in os.read(inotify, 1 << 16):
                return True
    finally:
        os.close(inotify)


@dataclasses.dataclass(frozen=True)
class Switch:
    at: float
    host: str
    series: str
    archive: str
    target: str
    generation: int


class Watcher:
    """Watches public/<series> of every worker's store; these folders must be there."""

    def __init__(self, workers):
        self.switches = []
        self.problems = []
        self._newest = collections.defaultdict(int)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._inotify < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._folders = {}
        for worker in workers:
            for folder in sorted((worker.root / "public").iterdir()):
                watch = self._libc.inotify_add_watch(self._inotify, str(folder).encode(), IN_CREATE | IN_MOVED_TO)
                if watch < 0:
                    raise OSError(ctypes.get_errno(), f"inotify_add_watch {folder}")
                self._folders[watch] = (worker.host, folder)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")
        self._thread.start()

    def _watch(self):
        while not self._over.is_set():
            ready, _, _ = select.select([self._inotify], [], [], 0.1)
            if ready:
                self.take_in()

    def take_in(self):
        try:
            data = os.read(self._inotify, 1 << 16)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            raise
        at = 0
        while at < len(data):
            watch, mask, _, length = EVENT.unpack_from(data, at)
            name = data[at + EVENT.size:at + EVENT.size + length].rstrip(b"\0").decode()
            at += EVENT.size + length
            if mask & IN_Q_OVERFLOW:
                self.problems.append("more links were switched than could be watched")
            elif name.endswith(".zip"):
                self._see(*self._folders[watch], name)

    def _see(self, host, folder, name):
        link = folder / name
        where = f"{host}: {folder.name}/{name}"
        try:
            target = os.readlink(link)
            with zipfile.ZipFile(folder / target) as archive:
                about = json.loads(archive.read("about.json"))
        except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
            self.problems.append(f"{where} was switched to what can't be read: {error!r}")
            return
        switch = Switch(time.monotonic(), host, folder.name, name[:-len(".zip")], target, about["generation"])
        self.switches.append(switch)
        if (about["series"], about["archive"]) != (switch.series, switch.archive):
            self.problems.append(f"{where} was switched to another's archive: {about}")
        newest = self._newest[host, switch.series, switch.archive]
        if switch.generation < newest:
            self.problems.append(f"{where} was switched from generation {newest} back to {switch.generation}")
        self._newest[host, switch.series, switch.archive] = max(newest, switch.generation)

    def wait_for(self, file, seconds=10.0):
        """Until a switch to a file of that name was seen, or a problem."""
        deadline = time.monotonic() + seconds
        while not any(switch.target.endswith(file) for switch in self.switches) and not self.problems:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no switch to {file} was seen")
            time.sleep(0.01)

    def close(self):
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        self.take_in()
        os.close(self._inotify)
