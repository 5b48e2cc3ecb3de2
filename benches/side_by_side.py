#!/usr/bin/env python3
"""Times pmove against GNU mv, interleaved, and prints medians and ratios.

Needs root (loop mounts). Builds two ext4 file systems on /dev/shm, because unlinking on a real disk that discards
takes as long as it likes, and a third corpus on the real disk.

    cargo build --release && sudo benches/side_by_side.py [rounds]
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PMOVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../target/release/pmove")
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5


def sh(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Loop:
    """An ext4 file system on an image in /dev/shm."""

    def __init__(self, size):
        self.image = tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="pmove-bench-")
        sh("fallocate", "-l", size, self.image.name)
        sh("mkfs.ext4", "-q", "-F", "-N", "400000", self.image.name)
        self.path = tempfile.mkdtemp(prefix="pmove-bench-")
        sh("mount", "-o", "loop", self.image.name, self.path)

    def close(self):
        sh("umount", self.path)
        os.rmdir(self.path)
        self.image.close()


def fill(directory, files, size):
    os.makedirs(directory)
    content = b"x" * size
    for number in range(files):
        with open(f"{directory}/f{number:06}.csv", "wb") as file:
            file.write(content)


def mv(source, target):
    # 50,000 operands are more than one command line holds; xargs is what people use.
    return ["sh", "-c", f"find {source} -name '*.csv' -print0 | xargs -0 mv -t {target}"]


def mv_and_sync(source, target):
    return ["sh", "-c", f"find {source} -name '*.csv' -print0 | xargs -0 mv -t {target}; sync -f {target}"]


def pmove(*options):
    return lambda source, target: [PMOVE, *options, f"{source}/*.csv", f"{target}/"]


def compare(title, files, size, source, target, movers):
    times = {name: [] for name in movers}
    for _ in range(ROUNDS):
        for name, command in movers.items():
            fill(source, files, size)
            os.makedirs(target)
            os.sync()
            begun = time.perf_counter()
            subprocess.run(command(source, target), check=True)
            times[name].append(time.perf_counter() - begun)
            arrived = len(os.listdir(target))
            assert arrived == files, f"{name}: {arrived} of {files} arrived"
            shutil.rmtree(source)
            shutil.rmtree(target)
            os.sync()
    base = statistics.median(times["mv"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"| {title} | {name} | {median:.2f} | {min(taken):.2f} | {base / median:.2f} |", flush=True)


def main():
    print("| work | mover | median s | min s | times as fast as mv |\n|---|---|---|---|---|")
    one, two = Loop("2G"), Loop("2G")
    disk = tempfile.mkdtemp(dir="/var/tmp", prefix="pmove-bench-")
    try:
        compare(
            "50,000 files, one ext4", 50_000, 100, f"{one.path}/in", f"{one.path}/out",
            {"mv": mv, "pmove": pmove(), "pmove -j 1": pmove("-j1")},
        )
        compare(
            "20,000 × 4 KiB, ext4 → ext4", 20_000, 4096, f"{one.path}/in", f"{two.path}/out",
            {"mv": mv, "mv, sync -f": mv_and_sync, "pmove": pmove(), "pmove --sync none": pmove("--sync=none")},
        )
        compare(
            "20,000 × 4 KiB, ext4 → real disk", 20_000, 4096, f"{one.path}/in", f"{disk}/out",
            {"mv": mv, "mv, sync -f": mv_and_sync, "pmove": pmove(), "pmove --sync none": pmove("--sync=none")},
        )
        compare(
            "50,000 files, the real disk", 50_000, 100, f"{disk}/in", f"{disk}/out",
            {"mv": mv, "pmove": pmove()},
        )
    finally:
        one.close()
        two.close()
        shutil.rmtree(disk, ignore_errors=True)


if __name__ == "__main__":
    main()
