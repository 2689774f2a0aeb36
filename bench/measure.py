"""Runs one command and appends what it took to a file of JSON lines.

measure.py RECORDS SLICE WHO RESULT [--told] -- COMMAND...

Wall clock; CPU and peak memory of the command by wait4; the bytes of RESULT, a file or a tree ('-': none). The command's
output is thrown away, its errors are shown; with --told it is a JSON object: its `seconds` are the wall clock's, for
commands that know better than their start and end what is to be measured, and its other numbers go beside them.
"""

import json
import os
import subprocess
import sys
import time


def bytes_of(path):
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(
        os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names
    )


def main():
    records, slice_name, who, result = sys.argv[1:5]
    told = sys.argv[5] == "--told"
    command = sys.argv[sys.argv.index("--") + 1 :]
    began = time.perf_counter()
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if told else subprocess.DEVNULL
    )
    output = child.stdout.read() if told else b"{}"
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"bench: {who} ended with {child.returncode}: {' '.join(command[:6])}")
    record = {
        "slice": slice_name,
        "who": who,
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rss": usage.ru_maxrss * 1024,
        "bytes": 0 if result == "-" else bytes_of(result),
    }
    said = json.loads(output)
    record["wall"] = said.pop("seconds", wall)
    record |= said
    with open(records, "a") as file:
        file.write(json.dumps(record) + "\n")


main()
