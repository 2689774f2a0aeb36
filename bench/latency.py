"""How long from the commit of a publish to the public link of its archive, while a run lingers.

latency.py DSN PUBLIC COUNT    publishes COUNT archives of one 100 KB file, each when the one before is linked; prints JSON
"""

import json
import os
import random
import statistics
import sys
import time

import psycopg2


def main():
    dsn, public, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    cursor = connection.cursor()
    while True:
        cursor.execute("SELECT coalesce(bool_or(listening), false) FROM zipmodule.hosts")
        if cursor.fetchone()[0]:
            break
        time.sleep(0.05)
    began = time.perf_counter()
    times = []
    for number in range(count):
        # Not in step with what the run does by itself.
        time.sleep(random.uniform(0.005, 0.05))
        link = os.path.join(public, "latency", f"a{number}.zip")
        cursor.execute(
            "SELECT revision FROM zipmodule.publish('latency', %s, '[{\"source\": \"latency/page.html\"}]')", (f"a{number}",)
        )
        committed = time.perf_counter()
        while not os.path.exists(link):
            time.sleep(0.0002)
            if time.perf_counter() - committed > 60:
                sys.exit(f"{link} did not come in a minute")
        times.append((time.perf_counter() - committed) * 1000)
    times.sort()
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "link_ms": statistics.median(times),
                "link_ms_99": times[int(len(times) * 0.99)],
                "link_ms_most": times[-1],
            }
        )
    )


main()
