"""What happens when, all decided from the seed before anything starts: the same seed and length give the same plan."""

import dataclasses
import random

WORKERS = 3
LEASE_SECONDS = 10  # the least that the configuration takes
SERIES = 3
ARCHIVES_A_SERIES = 4
AWAY = ("mirror",)  # which of the world's places go away: content, mirror


@dataclasses.dataclass(frozen=True)
class Publish:
    at: float
    archive: int  # 0 .. SERIES * ARCHIVES_A_SERIES - 1
    kilobytes: int  # of text that has to be compressed anew
    priority: int


@dataclasses.dataclass(frozen=True)
class Event:
    at: float
    what: str  # kill, stop, go_on, fill, free, restart, cut, promote, clock, threads, away, back, misdirect,
    # dump, restore
    worker: int = -1
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    seed: int
    seconds: float
    publishes: tuple
    events: tuple

    def text(self):
        lines = [f"{e.at:7.2f}  {e.what:8} {'' if e.worker < 0 else e.worker:2} {e.detail}" for e in self.events]
        return "\n".join(lines + [f"{len(self.publishes)} publishes"])


def make_publishes(rng, seconds):
    publishes = []
    at = 0.0
    while at < seconds:
        # Now and then a burst, several times the same archive: revisions that supersede each other.
        burst = rng.choice((1, 1, 1, 1, 2, 6))
        same = rng.random() < 0.4
        archive = rng.randrange(SERIES * ARCHIVES_A_SERIES)
        for _ in range(burst):
            publishes.append(Publish(at, archive, rng.choice((2, 40, 400, 4000)), rng.randrange(3)))
            if not same:
                archive = rng.randrange(SERIES * ARCHIVES_A_SERIES)
        at += rng.expovariate(1 / 0.7)
    return tuple(publishes)


def make_stops(rng, seconds):
    """Each worker is stopped beyond its lease at least once, and shortly more often."""
    events = []
    for worker in range(WORKERS):
        at = rng.uniform(2, 8)
        while at < seconds:
            longer = LEASE_SECONDS + rng.uniform(1, 4)
            asleep = longer if rng.random() < 0.5 or not events else rng.uniform(0.1, 3)
            until = min(at + asleep, seconds)
            late = "late" if until - at > LEASE_SECONDS else ""
            events += [Event(at, "stop", worker, rng.choice(("", "at rename"))), Event(until, "go_on", worker, late)]
            at = until + rng.uniform(8, 30)
    return events


def make_fills(rng, seconds):
    """A job that found the disk full is tried again a minute later: in a short run the disk is full early, and once."""
    events = []
    for worker in range(WORKERS):
        at = rng.uniform(3, 6)
        last = max(7.0, seconds - 40)
        while at < last:
            until = at + rng.uniform(1, 6 if seconds > 90 else 3)
            events += [Event(at, "fill", worker), Event(until, "free", worker)]
            at = until + rng.uniform(15, 40)
            if seconds <= 90:
                break
    return events


def make_absences(rng, seconds):
    """A content root and the target go away, and come back. What was tried meanwhile is tried again a minute later."""
    events = []
    for place in AWAY:
        at = rng.uniform(2, 6)
        last = max(7.0, seconds - 40)
        while at < last:
            until = at + rng.uniform(2, 10 if seconds > 90 else 4)
            events += [Event(at, "away", detail=place), Event(until, "back", detail=place)]
            at = until + rng.uniform(20, 60)
            if seconds <= 90:
                break
    return events


def make_limits(rng, seconds):
    """Launches with few threads: some can work, some can't."""
    events = []
    at = rng.uniform(1, 5)
    while at < seconds:
        events.append(Event(at, "threads", rng.randrange(WORKERS), str(rng.randrange(3, 16))))
        at += rng.uniform(4, 12)
    return events


def make_misdirections(rng, seconds):
    """Launches with another database than the store's."""
    events = []
    at = rng.uniform(4, 8)
    while at < seconds:
        events.append(Event(at, "misdirect", rng.randrange(WORKERS)))
        at += rng.uniform(6, 15)
    return events


def asleep(events, worker, at):
    """Whether the worker is stopped at that time."""
    before = [event for event in events if event.worker == worker and event.at <= at and event.what in ("stop", "go_on")]
    return bool(before) and max(before, key=lambda event: event.at).what == "stop"


def make_kills(rng, seconds, stops):
    events = []
    at = rng.uniform(0.5, 2)
    while at < seconds:
        worker = rng.randrange(WORKERS)
        # Most who are stopped shall wake up: what they do then is worth more than that they are dead.
        if not asleep(stops, worker, at) or rng.random() < 0.05:
            events.append(Event(at, "kill", worker, rng.choice(("", "at rename"))))
        at += rng.expovariate(1 / 2)
    return events


def make_plan(seed, seconds):
    rng = random.Random(seed)
    stops = make_stops(rng, seconds)
    events = stops + make_fills(rng, seconds) + make_kills(rng, seconds, stops)
    events += make_absences(rng, seconds) + make_limits(rng, seconds) + make_misdirections(rng, seconds)
    at = rng.uniform(1, 4)
    while at < seconds:
        events.append(Event(at, "cut", detail=str(rng.randrange(1, 4))))
        at += rng.expovariate(1 / 4)
    at, mode = rng.uniform(5, 12), rng.randrange(2)
    while at < seconds:
        events.append(Event(at, "restart", detail=("fast", "immediate")[mode]))
        at, mode = at + rng.uniform(10, 20), 1 - mode
    events.append(Event(rng.uniform(0.4, 0.8) * seconds, "promote"))
    events.append(Event(rng.uniform(0.1, 0.4) * seconds, "clock", rng.randrange(WORKERS), rng.choice(("+1h", "-1h"))))
    events.append(Event(rng.uniform(0.3, 0.4) * seconds, "dump"))
    events.append(Event(rng.uniform(0.5, 0.7) * seconds, "restore"))
    return Plan(seed, seconds, make_publishes(rng, seconds), tuple(sorted(events, key=lambda event: event.at)))
