"""A folder that is mounted: as a content root or a target is, it may be away for a while, and is empty then."""

import os
import subprocess

from cluster import Trouble, checked


class Place:
    """`folder` is what programs are given, `disk` is where its files are at any time. Without a mount both are one."""

    def __init__(self, folder, mounted=True):
        self.folder = self.disk = folder
        self.absences = 0
        self.there = False  # a mount of the same file system looks like a folder to os.path.ismount
        self.why_not = None if mounted else "not asked for"
        folder.mkdir(exist_ok=True)
        if not mounted:
            return
        self.disk = folder.with_name(folder.name + ".disk")
        self.disk.mkdir()
        try:
            if os.geteuid() != 0:
                raise Trouble("a mount needs root")
            checked(["mount", "--bind", self.disk, folder])
            self.there = True
        except Trouble as trouble:
            self.why_not = str(trouble)
            self.disk.rmdir()
            self.disk = folder

    def away(self):
        """What has files open there keeps them. Whether it was there before."""
        if not self.there:
            return False
        checked(["umount", "--lazy", self.folder])
        self.there = False
        self.absences += 1
        return True

    def state(self):
        """Changes with every absence, and is the same at two times where it was there all the time between."""
        return self.absences, self.there or bool(self.why_not)

    def back(self):
        if self.why_not or self.there:
            return False
        checked(["mount", "--bind", self.disk, self.folder])
        self.there = True
        return True

    def close(self):
        if self.there:
            subprocess.run(["umount", "--lazy", self.folder], check=False)
            self.there = False

    def left_below(self):
        """What somebody wrote while the disk was away: names of files below the empty folder."""
        was_there = self.away()
        try:
            return [] if self.why_not else sorted(os.path.relpath(os.path.join(where, name), self.folder)
                                                  for where, _, names in os.walk(self.folder) for name in names)
        finally:
            if was_there:
                self.back()
