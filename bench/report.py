"""Prints what the benchmarks measured, as tables and as figures asked and reached.

report.py RECORDS [PAGE]    with PAGE, a Markdown file, the sections of the slices measured are replaced in it

RECORDS holds JSON lines: measurements (measure.py), 'corpus' (one sentence about what was packed), and 'figure': the
figure of `who` in `column`, as a ratio to `peer` or alone, `at` least or most a `limit`.
"""

import json
import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timezone


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    with open("/proc/meminfo") as file:
        memory = int(re.search(r"^MemTotal:\s+(\d+)", file.read(), re.M)[1]) / 1024 / 1024
    file_system = subprocess.run(["df", "--output=fstype", "build"], capture_output=True, text=True).stdout.split()[-1]
    return (
        f"{model[1] if model else os.uname().machine}, {os.cpu_count()} cores, {memory:.0f} GiB memory, "
        f"Linux {os.uname().release}, {file_system}; load average at the end {os.getloadavg()[0]:.1f}"
    )


def human_bytes(count):
    return f"{count / 1e6:,.1f} MB"


class Slice:
    def __init__(self, name, records):
        self.name = name
        self.corpus = [record["text"] for record in records if record["kind"] == "corpus"]
        self.figures = [record for record in records if record["kind"] == "figure"]
        self.runs = defaultdict(list)
        for record in records:
            if record["kind"] == "run":
                self.runs[record["who"]].append(record)

    def median(self, who, column):
        return statistics.median(run[column] for run in self.runs[who])

    def table(self):
        first = next(iter(self.runs))
        yield "| what | runs | wall s | CPU s | peak memory | result | wall | CPU | size |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        for who, runs in self.runs.items():
            size = self.median(who, "bytes")
            yield (
                f"| {who} | {len(runs)} | {self.median(who, 'wall'):.2f} | {self.median(who, 'cpu'):.2f} "
                f"| {self.median(who, 'rss') / 2**20:.0f} MiB | {human_bytes(size) if size else ''} "
                f"| {self.of_pairs(who, first, 'wall')[1]:.2f} | {self.of_pairs(who, first, 'cpu')[1]:.2f} "
                f"| {self.of_pairs(who, first, 'bytes')[1]:.4f} |"
            )

    def of_pairs(self, who, peer, column):
        """Least, median and most of the ratios of runs that followed one another; of one run, to the peer's median."""
        ours, theirs = self.runs[who], self.runs[peer]
        if len(ours) != len(theirs):
            theirs = [{column: self.median(peer, column)}] * len(ours)
        pairs = [our[column] / max(their[column], 1e-9) for our, their in zip(ours, theirs)]
        return min(pairs), statistics.median(pairs), max(pairs)

    def outcome(self, figure):
        who, column = figure["who"], figure["column"]
        if figure["peer"]:
            pairs = self.of_pairs(who, figure["peer"], column)
        else:
            values = [run[column] for run in self.runs[who]]
            pairs = (min(values), statistics.median(values), max(values))
        if figure["per"]:  # a rate: so many in the time of one run
            pairs = tuple(float(figure["per"]) / value for value in reversed(pairs))
        scale = 2**20 if column == "rss" and not figure["peer"] else 1
        low, middle, high = (value / scale for value in pairs)
        limit = float(figure["limit"])
        kept = middle >= limit if figure["at"] == "least" else middle <= limit
        digits = 4 if column == "bytes" else 0 if abs(middle) >= 100 else 2
        reached = f"{middle:,.{digits}f}"
        if high > low:
            reached += f" ({low:,.{digits}f} to {high:,.{digits}f})"
        return f"| {figure['text']} | at {figure['at']} {figure['limit']} | {reached} | {'yes' if kept else '**no**'} |"

    def lines(self):
        for sentence in self.corpus:
            yield sentence
        yield ""
        yield from self.table()
        if self.figures:
            yield ""
            yield "| figure | asked | reached | kept |"
            yield "| --- | --- | --- | --- |"
            for figure in self.figures:
                yield self.outcome(figure)


def read(path):
    slices = defaultdict(list)
    with open(path) as file:
        for line in file:
            record = json.loads(line)
            record.setdefault("kind", "run")
            slices[record["slice"]].append(record)
    return [Slice(name, records) for name, records in slices.items()]


def replace_section(page, name, body):
    begin, end = f"<!-- {name}: written by scripts/bench -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{body}\n{end}"
    if begin not in page:
        return page.rstrip("\n") + f"\n\n## {name}\n{section}\n"
    before, rest = page.split(begin, 1)
    return before + section + rest.split(end, 1)[1]


def main():
    page_path = sys.argv[2] if len(sys.argv) > 2 else None
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    for measured in read(sys.argv[1]):
        if not measured.runs:
            continue
        body = "\n".join(measured.lines())
        print(f"\n== {measured.name}\n{body}")
        if page_path:
            with open(page_path) as file:
                page = file.read()
            page = replace_section(page, measured.name, f"{body}\n\n{when}; {machine()}.")
            with open(page_path, "w") as file:
                file.write(page)
    print(f"\n{when}; {machine()}")


main()
