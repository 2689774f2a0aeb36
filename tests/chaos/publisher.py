"""The CMS: writes content that tells its generation, publishes it, and remembers what it was told."""

import collections
import dataclasses
import hashlib
import json
import pathlib
import random
import threading
import time

import plan

WORDS = [word for line in pathlib.Path(__file__).read_text(encoding="utf-8").splitlines() for word in line.split()]


def name_of(archive):
    return f"series{archive % plan.SERIES}", f"archive{archive // plan.SERIES}"


@dataclasses.dataclass
class Generation:
    number: int
    revision: int | None  # None where the answer was lost: it may have been published or not
    content: dict  # name in the archive -> sha256


class Publisher:
    """`published[series, archive]`: its generations in the order of their calls, and only one caller makes them."""

    def __init__(self, cluster, database, content, seed):
        self.cluster = cluster
        self.database = database
        self.content = pathlib.Path(content)
        self.seed = seed
        self.published = collections.defaultdict(list)
        self.acknowledged = 0
        self.unknown = 0
        self.refused = []
        self.problems = []
        self._thread = None
        self.lock = threading.Lock()  # held by one who does not want a publish meanwhile
        self._shared = {}
        self._make_shared()

    def _make_shared(self):
        """What does not change from revision to revision: it is copied from the build before."""
        rng = random.Random(f"{self.seed}/shared")
        for name, data in (("shared/media.bin", rng.randbytes(1_500_000)),
                           ("shared/notes.txt", " ".join(rng.choices(WORDS, k=60_000)).encode())):
            self._write(self.content / name, data)
            self._shared[name] = hashlib.sha256(data).hexdigest()

    @staticmethod
    def _write(path, data):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _write_generation(self, series, archive, number, kilobytes):
        rng = random.Random(f"{self.seed}/{series}/{archive}/{number}")
        about = json.dumps({"series": series, "archive": archive, "generation": number})
        text = " ".join(rng.choices(WORDS, k=kilobytes * 150))[:kilobytes * 1000]
        expected = dict(self._shared)
        files = {"about.json": about, "text.txt": text,
                 **{f"pages/{page}.html": f"<p>{number} {rng.random()}</p>" for page in range(10)}}
        for name, data in files.items():
            self._write(self.content / series / archive / str(number) / name, data.encode())
            expected[name] = hashlib.sha256(data.encode()).hexdigest()
        return expected

    def publish(self, archive, kilobytes, priority=0):
        with self.lock:
            return self._publish(archive, kilobytes, priority)

    def _publish(self, archive, kilobytes, priority):
        series, name = name_of(archive)
        generations = self.published[series, name]
        number = len(generations) + 1
        expected = self._write_generation(series, name, number, kilobytes)
        files = [{"source": f"{series}/{name}/{number}/"}, {"source": "shared"}]
        generation = Generation(number, None, expected)
        # Before the call: should its answer be lost, it may be what is wanted all the same.
        generations.append(generation)
        code, answer, messages = self.cluster.psql(
            f"SELECT revision FROM zipmodule.publish('{series}', '{name}', '{json.dumps(files)}', "
            f"metadata => '{{\"generation\": {number}}}', priority => {priority})", self.database, "chaos_cms")
        if code == 0 and answer.isdigit():
            generation.revision = int(answer)
            self.acknowledged += 1
        else:
            self.unknown += 1
            self.refused.append(messages.strip())
            if "ERROR:" in messages:
                self.problems.append(f"publish of {series}/{name}: {messages.strip()}")
        return generation

    def forget_acknowledged(self):
        """A restored dump has lost publishes that were acknowledged: from here on, only what is published anew counts."""
        for generations in self.published.values():
            for generation in generations:
                generation.revision = None

    def publish_again(self):
        """As a CMS does after a restored dump: every archive whose newest publish may be lost."""
        for archive in range(plan.SERIES * plan.ARCHIVES_A_SERIES):
            generations = self.published.get(name_of(archive))
            if generations and generations[-1].revision is None:
                self.publish(archive, 40)

    def start(self, publishes, began):
        """Follows the plan in a thread of its own; late where the server is away, but leaves nothing out."""
        def follow():
            for one in publishes:
                time.sleep(max(0.0, began + one.at - time.monotonic()))
                self.publish(one.archive, one.kilobytes, one.priority)
        self._thread = threading.Thread(target=follow, name="publisher")
        self._thread.start()

    def finish(self):
        if self._thread:
            self._thread.join()
