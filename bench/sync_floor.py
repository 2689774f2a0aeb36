"""What the disk alone takes for COUNT archives of BYTES each: written, synced, renamed into one of 256 folders, the folder
synced. By THREADS threads, as a run does it; nothing is read or compressed.

sync_floor.py DIR COUNT BYTES THREADS
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor


def main():
    folder, count, size, threads = sys.argv[1], *map(int, sys.argv[2:])
    data = bytes(size)
    os.makedirs(f"{folder}/tmp")
    for number in range(256):
        os.mkdir(f"{folder}/{number:02x}")

    def one(number):
        temporary = f"{folder}/tmp/{number}"
        with open(temporary, "wb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
        home = f"{folder}/{number * 167 % 256:02x}"
        os.rename(temporary, f"{home}/{number}")
        directory = os.open(home, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(count)))


main()
