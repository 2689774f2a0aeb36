"""Makes the benchmarks' corpora. Seeded: the same machine gets the same bytes every time.

corpus.py media  DIR BYTES         incompressible files of 0.3 to 150 MB
corpus.py text   DIR BYTES         three files of this machine's own text
corpus.py large  DIR BYTES         the same as one file, and again cut into files of 1 MB: DIR/one, DIR/many
corpus.py small  DIR FILES BYTES   small real files; pieces of larger ones, cut at differing offsets, where too few
corpus.py sparse DIR BYTES         one sparse file
corpus.py many   DIR FILES         4 KB files in one tree
corpus.py one    DIR BYTES         one incompressible file
corpus.py shots  DIR FILES         incompressible files of 100 KB in one folder
corpus.py jobs   DIR JOBS          five 10 KB files of words for each job
corpus.py change DIR PERCENT       so many of the files that are there get other content; prints how much that was
"""

import glob
import gzip
import os
import random
import sys

SEED = 20240229
MB = 1_000_000

TEXT_GROUPS = {
    "headers": ["/usr/include", "/usr/lib/gcc/*/*/include"],
    "documents": ["/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/common-licenses"],
    "programs": ["/usr/lib/python3*", "/usr/share/perl*", "/usr/share/cmake*", "/usr/share/vim"],
}


def real_files(patterns):
    """Regular files below the folders, in one order for all runs."""
    found = []
    for pattern in patterns:
        for top in sorted(glob.glob(pattern)):
            for folder, folders, names in os.walk(top):
                folders.sort()
                found += [os.path.join(folder, name) for name in sorted(names)]
    return [path for path in found if os.path.isfile(path) and not os.path.islink(path)]


def text_of(path):
    """The text in the file, unpacked; empty where it is none."""
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            data = file.read(20 * MB)
        data.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError):
        return b""
    return b"" if b"\0" in data else data


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def media(folder, total):
    rng = random.Random(SEED)
    left = int(total)
    number = 0
    while left > 0:
        # Evenly over the orders of magnitude, as photos, songs and films lie; a small corpus has only the smaller ones.
        size = min(left, int(0.3 * MB * (min(150, max(1, int(total) / (10 * MB))) / 0.3) ** rng.random()))
        write(f"{folder}/album-{number % 7}/file-{number:04}.bin", rng.randbytes(size))
        left -= size
        number += 1


def text(folder, total):
    rng = random.Random(SEED)
    for group, patterns in TEXT_GROUPS.items():
        wanted = int(total) // len(TEXT_GROUPS)
        files = real_files(patterns)
        rng.shuffle(files)
        path = f"{folder}/{group}.txt"
        os.makedirs(folder, exist_ok=True)
        with open(path, "wb") as out:
            # A machine with too little text gets it again with the lines of each file backwards.
            for backwards in (False, True) * 20:
                for file in files:
                    data = text_of(file)
                    if backwards:
                        data = b"\n".join(reversed(data.split(b"\n")))
                    wanted -= out.write(data[:wanted])
                    if wanted == 0:
                        break
                if wanted == 0:
                    break
        if wanted > 0:
            sys.exit(f"corpus: too little text on this machine for '{group}'")


def large(folder, total):
    text(folder, total)
    left = int(total)
    os.makedirs(f"{folder}/one")
    with open(f"{folder}/one/text.txt", "wb") as whole:
        for group in TEXT_GROUPS:
            with open(f"{folder}/{group}.txt", "rb") as file:
                while piece := file.read(MB):
                    whole.write(piece)
                    write(f"{folder}/many/{left // MB:05}-{left % MB:06}.txt", piece)
                    left -= len(piece)
            os.remove(f"{folder}/{group}.txt")


def cap_for(sizes, mean):
    """The size at which larger files have to be cut for the mean of all to become `mean`."""
    low, high = 1, max(sizes)
    while low < high:
        middle = (low + high) // 2
        if sum(min(size, middle) for size in sizes) < mean * len(sizes):
            low = middle + 1
        else:
            high = middle
    return low


def piece_of(rng, file, size, cap, again):
    """The whole file; of a large one a piece somewhere in it; of one that was taken before, what is behind an offset."""
    if size > cap:
        piece = min(size, int(cap * rng.uniform(0.5, 1.5)))
        file.seek(rng.randrange(size - piece + 1))
        return file.read(piece)
    file.seek(rng.randrange(size // 4 + 1) if again else 0)
    return file.read()


def small(folder, count, total):
    rng = random.Random(SEED)
    count = int(count)
    pool = [(path, os.path.getsize(path)) for path in real_files(["/usr"])]
    pool = [(path, size) for path, size in pool if size > 0]
    rng.shuffle(pool)
    cap = cap_for([size for _, size in pool[:count]], int(total) / count)
    for made in range(count):
        path, size = pool[made % len(pool)]
        try:
            with open(path, "rb") as file:
                data = piece_of(rng, file, size, cap, made >= len(pool))
        except OSError:  # not ours to read
            data = words(rng, cap)
        # Names as they are published: systemd's units have backslashes, which no archive may hold.
        name = os.path.basename(path).encode("ascii", "replace").decode().replace("?", "_").replace("\\", "_")[-80:]
        write(f"{folder}/{made // 100:04}/{made:05}-{name}", data)


def sparse(folder, total):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/sparse.bin", "wb") as file:
        file.truncate(int(total))


def words(rng, size):
    """Text of random words: it shrinks to about a half."""
    letters = "etaoinshrdlucmfwypvbgk"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(4000)]
    return " ".join(rng.choices(vocabulary, k=size // 5)).encode()[:size]


def many(folder, count):
    rng = random.Random(SEED)
    source = words(rng, 4 * MB)
    for number in range(int(count)):
        at = rng.randrange(len(source) - 4096)
        write(f"{folder}/{number // 1000:03}/{number:06}.txt", source[at : at + 4096])


def one(folder, total):
    rng = random.Random(SEED)
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/one.bin", "wb") as file:
        for at in range(0, int(total), MB):
            file.write(rng.randbytes(min(MB, int(total) - at)))


def shots(folder, count):
    rng = random.Random(SEED)
    for number in range(int(count)):
        write(f"{folder}/{number:05}.jpg", rng.randbytes(100_000))


def jobs(folder, count):
    rng = random.Random(SEED)
    source = words(rng, 8 * MB)
    for job in range(int(count)):
        for number in range(5):
            at = rng.randrange(len(source) - 10_000)
            write(f"{folder}/{job:05}/chapter-{number}.txt", source[at : at + 10_000])


def change(folder, percent):
    """Files of middling size, so that as many per cent of the bytes are changed. Their content is turned round: it shrinks
    as well as before. The new times are apart by more than the steps of any archive's."""
    files = real_files([folder])
    mean = sum(map(os.path.getsize, files)) / len(files)
    files.sort(key=lambda path: abs(os.path.getsize(path) - mean))
    chosen = files[: max(1, len(files) * int(percent) // 100)]
    changed_bytes = 0
    for path in chosen:
        modified = os.path.getmtime(path)
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(data[len(data) // 2 :] + data[: len(data) // 2])
        os.utime(path, (modified + 10, modified + 10))
        changed_bytes += len(data)
    print(f"{len(chosen)} of {len(files)} files, {changed_bytes / MB:.1f} MB")


if __name__ == "__main__":
    makers = {maker.__name__: maker for maker in (media, text, large, small, sparse, many, one, shots, jobs, change)}
    if len(sys.argv) < 4 or sys.argv[1] not in makers:
        sys.exit(__doc__)
    makers[sys.argv[1]](*sys.argv[2:])
