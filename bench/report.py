"""Prints what the benchmarks measured, as tables and as figures asked and reached.

report.py RECORDS SLICE PAGE    and replaces the section of the slice in PAGE, a Markdown file

RECORDS holds JSON lines: measurements (measure.py); 'also', one more column of the measurement before; 'corpus', a sentence
about what was packed; and 'figure', what is asked: `what` (a key of FIGURES) of `who`, as a ratio to `peer` or alone, `at`
`least`, `most` or `below` a `limit`.
"""

import json
import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timezone


# Of each figure: its name on the page, from which chart.py reads it again, and the column it is about.
FIGURES = {
    "time": ("time of {who} to {peer}", "wall"),
    "speed": ("speed of {who} to {peer}", "wall"),
    "build": ("build time of {who} to {peer}", "build"),
    "size": ("size of {who} to {peer}", "bytes"),
    "memory": ("peak MiB of {who}", "rss"),
    "blocks": ("new blocks of {who} to its size", "blocks"),
    "network": ("bytes over the network of {who} to {peer}", "network"),
    "rate": ("archives per second of {who}", "wall"),
    "calls": ("publish calls per second of {who}", "wall"),
    "deadlocks": ("deadlocks of {who}", "deadlocks"),
    "claim": ("median ms of a claim of {who}", "claim_ms"),
    "link": ("median ms to the link of {who}", "link_ms"),
    "link99": ("99th percentile of ms to the link of {who}", "link_ms_99"),
    "slowing": ("median of the last claims to that of the first of {who}", "claim_ms_last"),
}
# Columns that only some slices have: their heads, and how their values are written.
MORE = {
    "build": ("build s", lambda value: seconds(value)),
    "upload": ("upload s", lambda value: seconds(value)),
    "server": ("server's CPU s", lambda value: seconds(value)),
    "blocks": ("new blocks", lambda value: human_bytes(value)),
    "network": ("over the network", lambda value: human_bytes(value)),
    "claim_ms": ("claim ms", lambda value: seconds(value)),
    "commit_ms": ("commit ms", lambda value: seconds(value)),
    "release_ms": ("release ms", lambda value: seconds(value)),
    "claim_ms_first": ("first claims ms", lambda value: seconds(value)),
    "claim_ms_last": ("last claims ms", lambda value: seconds(value)),
    "link_ms": ("link ms", lambda value: seconds(value)),
    "link_ms_99": ("99 % ms", lambda value: seconds(value)),
    "link_ms_most": ("most ms", lambda value: seconds(value)),
    "deadlocks": ("deadlocks", lambda value: f"{value:.0f}"),
    "dead": ("dead tuples", lambda value: f"{value:,.0f}"),
    "index": ("index", lambda value: human_bytes(value)),
}
ASKED = {"least": "at least", "most": "at most", "below": "below"}


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


def seconds(value):
    """Also for ratios of them."""
    return f"{value:,.{2 if value >= 0.1 else 3}f}"


class Slice:
    def __init__(self, name, records):
        self.name = name
        self.corpus = [record["text"] for record in records if record["kind"] == "corpus"]
        self.figures = [record for record in records if record["kind"] == "figure"]
        self.runs = defaultdict(list)
        for record in records:
            if record["kind"] == "run":
                self.runs[record["who"]].append(record)
            if record["kind"] == "also":
                self.runs[record["who"]][-1][record["column"]] = float(record["value"])

    def median(self, who, column):
        return statistics.median(run[column] for run in self.runs[who])

    def table(self):
        first = next(iter(self.runs))
        more = [column for column in MORE if any(column in run for runs in self.runs.values() for run in runs)]
        yield "| what | runs | wall s | CPU s | peak memory | result | wall | CPU | size |" + "".join(
            f" {MORE[column][0]} |" for column in more
        )
        yield "| --- |" + " ---: |" * (8 + len(more))
        for who, runs in self.runs.items():
            size = self.median(who, "bytes")
            yield (
                f"| {who} | {len(runs)} | {seconds(self.median(who, 'wall'))} | {seconds(self.median(who, 'cpu'))} "
                f"| {self.median(who, 'rss') / 2**20:.0f} MiB | {human_bytes(size) if size else ''} "
                f"| {seconds(self.of_pairs(who, first, 'wall')[1])} | {seconds(self.of_pairs(who, first, 'cpu')[1])} "
                f"| {self.of_pairs(who, first, 'bytes')[1]:.4f} |"
            ) + "".join(
                f" {MORE[column][1](self.median(who, column)) if column in runs[0] else ''} |" for column in more
            )

    def of_pairs(self, who, peer, column):
        """Least, median and most of the ratios of runs that followed one another; where one ran less often, its median counts
        beside each run of the other."""
        ours, theirs = self.runs[who], self.runs[peer]
        if len(ours) > len(theirs):
            theirs = [{column: self.median(peer, column)}] * len(ours)
        elif len(theirs) > len(ours):
            ours = [{column: self.median(who, column)}] * len(theirs)
        pairs = [our[column] / max(their[column], 1e-9) for our, their in zip(ours, theirs)]
        return min(pairs), statistics.median(pairs), max(pairs)

    def values(self, figure):
        """Least, median and most of what is asked about."""
        who, peer = figure["who"], figure["peer"]
        column = FIGURES[figure["what"]][1]
        if figure["what"] == "speed":
            return self.of_pairs(peer, who, column)
        if peer:
            return self.of_pairs(who, peer, column)
        runs = self.runs[who]
        values = {
            "memory": lambda run: run["rss"] / 2**20,
            "blocks": lambda run: run["blocks"] / run["bytes"],
            "rate": lambda run: float(figure["per"]) / run["wall"],
            "calls": lambda run: float(figure["per"]) / run["wall"],
            "deadlocks": lambda run: run["deadlocks"],
            "claim": lambda run: run["claim_ms"],
            "link": lambda run: run["link_ms"],
            "link99": lambda run: run["link_ms_99"],
            "slowing": lambda run: run["claim_ms_last"] / run["claim_ms_first"],
        }[figure["what"]]
        found = [values(run) for run in runs]
        return min(found), statistics.median(found), max(found)

    def outcome(self, figure):
        name, column = FIGURES[figure["what"]]
        low, middle, high = self.values(figure)
        limit = float(figure["limit"])
        kept = {"least": middle >= limit, "most": middle <= limit, "below": middle < limit}[figure["at"]]
        digits = 4 if column in ("bytes", "blocks") else 0 if abs(middle) >= 100 else 3 if abs(middle) < 0.1 else 2
        reached = f"{middle:,.{digits}f}"
        if high > low:
            reached += f" ({low:,.{digits}f} to {high:,.{digits}f})"
        asked = f"{ASKED[figure['at']]} {figure['limit']}"
        return f"| {name.format(**figure)} | {asked} | {reached} | {'yes' if kept else '**no**'} |"

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
    records, name, page_path = sys.argv[1:]
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    for measured in read(records):
        if measured.name != name or not measured.runs:
            continue
        body = "\n".join(measured.lines())
        print(f"\n== {name}\n{body}\n\n{when}; {machine()}", flush=True)
        with open(page_path) as file:
            page = file.read()
        with open(page_path, "w") as file:
            file.write(replace_section(page, name, f"{body}\n\n{when}; {machine()}."))


main()
