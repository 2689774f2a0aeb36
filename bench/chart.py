"""Draws the page's figures of time: a bar for each contestant, as long as its time to the slice's first, and a line for
each time that was asked of it.

chart.py PAGE OUT.svg

All of it is read from the tables that report.py wrote, so that page and chart can't differ. Only contestants that a figure
of time or speed names are drawn; those figures' limits, times to a peer, become lines at so many times the peer's bar.
"""

import re
import sys
from html import escape

WIDTH, LEFT, UNIT = 820, 200, 170  # pixels: of all, of the labels, of once the peer's time
LONGEST = 2.6  # longer bars are cut, and say so
ROW, HEAD = 19, 42
# Readable on white and on black alike: GitHub shows one file on both.
TEXT, PEER, OURS, MISSED, ASKED = "#7b828b", "#8b949e", "#3b82d6", "#d1495b", "#e08a1e"

SECTION = re.compile(r"<!-- (\S+): written by scripts/bench -->\n(.*?)<!-- end of \1 -->", re.S)
FIGURE = re.compile(r"^(time|speed|build time) of (.+) to (.+)$")


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(body):
    """The tables as lists of {column: cell}."""
    for block in re.findall(r"(?:^\|.*\n)+", body, re.M):
        head, _, *rows = block.strip().split("\n")
        yield [dict(zip(cells(head), cells(row))) for row in rows]


def number(text):
    return float(re.match(r"[\d,.]+", text)[0].replace(",", ""))


class Slice:
    def __init__(self, name, body):
        self.name = name
        self.about = body.strip().split("\n")[0]
        self.measured_on = body.strip().split("\n")[-1]
        self.asked = {}  # contestant: [(peer, times the peer's, kept)]
        self.bars = []  # (contestant, times the first's, seconds)
        found = list(tables(body))
        if len(found) < 2:
            return
        runs, figures = found[:2]
        named = [(FIGURE.match(row["figure"]), row) for row in figures]
        named = [(match, row) for match, row in named if match]
        if not named:
            return
        builds = any(match[1] == "build time" for match, _ in named)
        column = "build s" if builds else "wall s"
        first = number(runs[0][column])
        drawn = {who for match, _ in named for who in match.groups()[1:]} | {runs[0]["what"]}
        for row in runs:
            if row["what"] in drawn:
                ratio = number(row[column]) / max(first, 1e-9) if builds else number(row["wall"])
                self.bars.append((row["what"], ratio, number(row[column])))
        lengths = {who: ratio for who, ratio, _ in self.bars}
        for match, row in named:
            kind, who, peer = match.groups()
            limit = number(row["asked"].split()[-1])
            at = lengths[peer] / limit if kind == "speed" else lengths[peer] * limit
            self.asked.setdefault(who, []).append((f"{kind} to {peer} {row['asked']}", at, row["kept"] == "yes"))


def text(x, y, words, size=12, anchor="start", weight="normal", fill=TEXT):
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{fill}">{escape(words)}</text>'
    )


def bar(who, ratio, seconds, asked, y):
    missed = any(not kept for _, _, kept in asked)
    cut = ratio > LONGEST
    length = max(1.5, min(ratio, LONGEST) * UNIT)
    yield text(LEFT - 8, y + 12, who, anchor="end")
    fill, opacity = (PEER, 0.55) if not asked else (MISSED if missed else OURS, 1)
    yield f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 6}" fill="{fill}" fill-opacity="{opacity}"/>'
    if cut:
        x = LEFT + length - 16
        yield f'<path d="M{x:.0f} {y + ROW - 2} l5 -{ROW - 2} m4 0 l-5 {ROW - 2}" stroke="{TEXT}" fill="none"/>'
    for name, at, kept in asked:
        x = LEFT + min(at, LONGEST) * UNIT
        told = escape(f"{who}: {name}; {'kept' if kept else 'missed'}")
        yield f'<path d="M{x:.1f} {y - 1} v{ROW}" stroke="{ASKED}" stroke-width="2"><title>{told}</title></path>'
    after = max([length] + [min(at, LONGEST) * UNIT for _, at, _ in asked])
    words = f"{ratio:.3g} × · {seconds:.3g} s"
    if missed:
        names = [name for name, _, kept in asked if not kept]
        told = "; ".join(names)
        # About 6.5 pixels a letter: what has no room is told in the tables.
        room = (WIDTH - LEFT - after) / 6.5 - len(words) - 12
        words += f" · missed: {told}" if len(told) < room else f" · missed: {len(names)} of {len(asked)}"
    yield text(LEFT + after + 7, y + 12, words)


def draw(slices):
    y = 54
    body = [
        text(8, 18, "Time of each contestant, as a ratio to the first of its slice", 15, weight="bold"),
        f'<rect x="8" y="29" width="12" height="12" fill="{OURS}"/>',
        text(24, 39, "zipmodule"),
        f'<rect x="98" y="29" width="12" height="12" fill="{PEER}" fill-opacity="0.55"/>',
        text(114, 39, "others"),
        f'<path d="M166 27 v16" stroke="{ASKED}" stroke-width="2"/>',
        text(173, 39, "asked: the bar should end left of every line"),
        f'<rect x="470" y="29" width="12" height="12" fill="{MISSED}"/>',
        text(486, 39, "asked, and missed"),
    ]
    for one in slices:
        body.append(text(8, y + 18, one.name, 13, weight="bold"))
        about = one.about if len(one.about) < 125 else one.about[:120].rsplit(" ", 1)[0] + " ..."
        body.append(text(8, y + 33, about, 11))
        y += HEAD
        for who, ratio, seconds in one.bars:
            body += bar(who, ratio, seconds, one.asked.get(who, []), y)
            y += ROW
        y += 4
    footers = sorted({re.sub(r"; load average.*", "", one.measured_on) for one in slices})
    for footer in footers:
        y += 16
        body.append(text(8, y, footer, 11))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 12}" viewBox="0 0 {WIDTH} {y + 12}" '
        'font-family="system-ui, sans-serif" role="img">\n'
        "<title>zipmodule beside its peers: time</title>\n" + "\n".join(body) + "\n</svg>\n"
    )


def main():
    page_path, chart_path = sys.argv[1:]
    with open(page_path) as file:
        slices = [Slice(*found) for found in SECTION.findall(file.read())]
    with open(chart_path, "w") as file:
        file.write(draw([one for one in slices if one.bars]))


main()
