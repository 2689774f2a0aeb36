#!/usr/bin/env python3
"""Three hosts build what a CMS publishes, while all that can go wrong goes wrong; then nothing may be lost or left.

Hosts are killed, stopped beyond their leases and let go on, their disks are filled, one has a clock that is wrong by an
hour; PostgreSQL is restarted and crashes, sessions are cut, and once the primary dies and a standby takes over. When all
is quiet again, checks.py looks at every archive, link, lease, file and row of telemetry.

    chaos.py --binary build/release/zipmodule --seconds 180              the long form, with a seed of its own
    chaos.py --binary build/release/zipmodule --seconds 180 --seed 7     the same decisions again
    chaos.py --seed 7 --seconds 180 --plan                               only tells what would happen when

ctest (scripts/test chaos) runs the short form: ZIPMODULE_CHAOS_SECONDS and ZIPMODULE_CHAOS_SEED set its length and seed.
Decisions repeat with the seed; how machines and the kernel interleave them does not. Exit code 0: nothing was found.
"""

import argparse
import collections
import os
import random
import sys
import time

import checks
import plan
from world import DATABASE, OTHER_DATABASE, World


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="the zipmodule to test")
    parser.add_argument("--seconds", type=float, help="length of the chaos; the calm comes on top (180)")
    parser.add_argument("--short", action="store_true", help="30 seconds, unless ZIPMODULE_CHAOS_SECONDS says otherwise")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("ZIPMODULE_CHAOS_SEED") or 0),
                        help="repeats decisions; chosen and printed where it is not given")
    parser.add_argument("--plan", action="store_true", help="print the plan and end")
    parser.add_argument("--keep", action="store_true", help="leave content, stores and logs where nothing was found, too")
    chosen = parser.parse_args()
    if chosen.seconds is None:
        chosen.seconds = float(os.environ.get("ZIPMODULE_CHAOS_SECONDS") or (30 if chosen.short else 180))
    chosen.seed = chosen.seed or random.SystemRandom().randrange(1, 1_000_000)
    if not chosen.plan and not chosen.binary:
        parser.error("--binary is missing")
    return chosen


class Troubles:
    """Does what the plan says, and counts it."""

    def __init__(self, world):
        self.world = world
        self.dump = None
        self.done = collections.Counter()

    def make(self, event):
        world = self.world
        name = event.what + ("" if event.what in ("cut", "clock") else f" {event.detail}".rstrip())
        if event.what in ("kill", "stop"):
            moment = getattr(world.workers[event.worker], event.what)(bool(event.detail))
            happened = moment is not None
            name = f"{event.what} {moment or ''}".rstrip()
        elif event.what in ("go_on", "fill", "free"):
            happened = getattr(world.workers[event.worker], event.what)()
        elif event.what == "threads":
            happened = world.workers[event.worker].limit_threads(int(event.detail))
            name = event.what
        elif event.what == "dump":
            self.dump = world.dump()
            happened = True
        elif event.what == "restore":
            world.restore(self.dump)
            happened = True
        elif event.what == "misdirect":
            happened = world.workers[event.worker].misdirect(world.cluster.dsn(OTHER_DATABASE, "chaos_worker"))
        elif event.what in ("away", "back"):
            happened = getattr(world.places[event.detail], event.what)()
        elif event.what == "clock":
            happened = world.workers[event.worker].set_clock(event.detail)
        elif event.what == "cut":
            happened = self._cut(int(event.detail))
        elif event.what == "restart":
            world.cluster.current.restart(event.detail)
            happened = True
        else:
            world.cluster.promote()
            happened = True
        self.done[name if happened else f"{name} (nothing there)"] += 1

    def _cut(self, sessions):
        code, rows, _ = self.world.cluster.psql(
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity "
            f"WHERE usename IN ('chaos_worker', 'chaos_cms') ORDER BY random() LIMIT {sessions}) AS s", DATABASE)
        return code == 0 and rows != "0"


def say(text):
    print(f"chaos: {text}", flush=True)


def make_chaos(world, decided, troubles):
    began = time.monotonic()
    world.publisher.start(decided.publishes, began)
    for worker in world.workers:
        worker.start()
    for event in decided.events:
        time.sleep(max(0.0, began + event.at - time.monotonic()))
        troubles.make(event)
    time.sleep(max(0.0, began + decided.seconds - time.monotonic()))
    world.publisher.finish()
    for worker in world.workers:
        worker.go_on()
        worker.free()
    for place in world.places.values():
        place.back()
    world.finish_restore()
    return time.monotonic() - began


def tell(world, troubles):
    for worker in world.workers:
        if worker.why_no_small_disk:
            say(f"skipped: disk full on {worker.host}: {worker.why_no_small_disk}")
        if worker.why_no_thread_limit:
            say(f"skipped: limit of threads on {worker.host}: {worker.why_no_thread_limit}")
        if worker.why_no_clock:
            say(f"skipped: wrong clock on {worker.host}: {worker.why_no_clock}")
    for name, place in world.places.items():
        if place.why_not:
            say(f"skipped: {name} away: {place.why_not}")
    say("troubles: " + ", ".join(f"{count} {name}" for name, count in sorted(troubles.done.items())))
    say(f"{world.publisher.acknowledged} publishes acknowledged, {world.publisher.unknown} without an answer, "
        f"{len(world.watcher.switches)} links switched, {sum(worker.launches for worker in world.workers)} launches, exits "
        f"{dict(sum((collections.Counter(worker.exits) for worker in world.workers), collections.Counter()))}")
    outcomes = checks.rows(world, "SELECT outcome, coalesce(error_kind, '-') AS kind, count(*) FROM zipmodule.telemetry "
                                  "GROUP BY 1, 2 ORDER BY 1, 2")
    say("attempts: " + ", ".join(f"{row['count']} {row['outcome']} {row['kind']}".removesuffix(" -") for row in outcomes))


def too_tame(world, troubles, seconds):
    """What did not happen proves nothing. In a short run some moments may not come about."""
    wanted = ["kill", "stop", "go_on", "cut", "restart", "promote", "misdirect", "dump", "restore"]
    wanted += ["kill at rename", "go_on late"] if seconds >= 120 else []
    wanted += [] if any(worker.why_no_small_disk for worker in world.workers) else ["fill", "free"]
    wanted += [] if any(worker.why_no_thread_limit for worker in world.workers) else ["threads"]
    wanted += [f"{what} {name}" for name in plan.AWAY if not world.places[name].why_not for what in ("away", "back")]
    wanted += [] if any(worker.why_no_clock for worker in world.workers) else ["clock"]
    came = [name for name in troubles.done if not name.endswith("(nothing there)")]
    return [f"too tame: no {what} came about" for what in wanted if not any(name.startswith(what) for name in came)]


def main():
    chosen = arguments()
    decided = plan.make_plan(chosen.seed, chosen.seconds)
    if chosen.plan:
        print(decided.text())
        return 0
    say(f"seed {chosen.seed}, {chosen.seconds:.0f} s; again: --seed {chosen.seed} --seconds {chosen.seconds:.0f}")
    world = World(os.path.abspath(chosen.binary), chosen.seed)
    found = ["the test itself failed"]
    try:
        troubles = Troubles(world)
        lasted = make_chaos(world, decided, troubles)
        calm = time.monotonic()
        quiet = world.wait_until_quiet(120)
        say(f"{lasted:.0f} s of chaos, {'quiet' if quiet else 'NOT QUIET'} after {time.monotonic() - calm:.0f} s more")
        world.settle()
        tell(world, troubles)
        found = too_tame(world, troubles, chosen.seconds) + world.findings()
    finally:
        if found:
            say(f"evidence: {world.keep_evidence()}, stores below {world.folder}")
        world.close(keep=bool(found) or chosen.keep)
    for line in found:
        say(f"FOUND {line}")
    say(f"seed {chosen.seed}: {len(found)} findings" if found else f"seed {chosen.seed}: all is well")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
