#!/usr/bin/env python3
"""Measures threads beside rings, on file systems of its own, as root. See README.md.

measure.py [--work NAME]... [--rounds N] [--samples FILE]    adds samples to FILE
measure.py --table [--samples FILE]                          prints what FILE has
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "target/release/pmove-uring")

THREADS = {f"{n} thread{'s' * (n > 1)}": ["threads", "-j", str(n)] for n in (1, 2, 8, 16)}
RINGS = {f"2 rings, depth {n}": ["ring", "--depth", str(n)] for n in (1, 8, 32, 64, 128)}
BEST = {
    "2 rings, depth 8, statx and close plain": ["ring", "--depth", "8", "--descriptors", "plain"],
    "1 ring, depth 32": ["ring", "-j", "1", "--depth", "32"],
}
EACH = ["--fsync", "each"]

# What else runs is to have little of the processors: niceness counts between sessions, so each run is one of its own.
FIRST = 'echo -15 >/proc/self/autogroup; exec "$@"'


def flat(files, size):
    content = random.Random(5).randbytes(size)

    def make(place):
        for number in range(files):
            with open(f"{place}/f{number:07}.csv", "wb") as file:
                file.write(content)

    return make


def tree(files):
    """Like the tree of the other benchmarks: 17 files to a directory, log-normal sizes, the median 3.5 KiB."""

    def make(place):
        numbers = random.Random(5)
        content = numbers.randbytes(1 << 20)
        dirs = [(f"{place}/tree", 1)]
        os.mkdir(dirs[0][0])
        while len(dirs) < files // 17:
            parent, depth = numbers.choice(dirs)
            if depth < 7:
                dirs.append((f"{parent}/module_{len(dirs)}", depth + 1))
                os.mkdir(dirs[-1][0])
        for number in range(files):
            size = min(int(3584 * numbers.lognormvariate(0, 1.2)), 1 << 20)
            with open(f"{numbers.choice(dirs)[0]}/file_{number}.rs", "wb") as file:
                file.write(content[:size])

    return make


WORKS = {
    "rename": ("50,000 renames on one ext4", "rename", flat(50_000, 0), []),
    "small": ("20,000 × 4 KiB, ext4 → ext4", "copy", flat(20_000, 4096), []),
    "tree": ("a source-like tree of 20,000 files, ext4 → ext4", "copy", tree(20_000), []),
    "mib": ("400 × 1 MiB, ext4 → ext4", "copy", flat(400, 1 << 20), []),
    "fsync": ("2,000 × 4 KiB, ext4 → ext4, each synced by itself", "copy", flat(2_000, 4096), EACH),
}


def disk(parent, name):
    """An ext4 on an image that is unlinked and detached once it is mounted."""
    image, place = f"/dev/shm/pmove-uring-{os.getpid()}-{name}", f"{parent}/{name}"

    def run(*words):
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    try:
        run("fallocate", "-l", "1GiB", image)
        device = run("losetup", "--direct-io=on", "-f", "--show", image)
    finally:
        os.unlink(image)
    try:
        options = ["-N", "80000", "-J", "size=128", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
        run("mkfs.ext4", "-q", "-F", *options, device)
        os.mkdir(place)
        run("mount", device, place)
    finally:
        run("losetup", "-d", device)
    return place


def count(place):
    return sum(len(files) for _, _, files in os.walk(place))


def sample(work, variant, source, target):
    _, way, make, besides = WORKS[work]
    for place in (source, target):
        shutil.rmtree(place, ignore_errors=True)
        os.mkdir(place)
    make(source)
    files = count(source)
    subprocess.run(["sync", "-f", source, target], check=True)
    words = ["sh", "-c", FIRST, "sh", PROGRAM, variant[0], way, *variant[1:], *besides, source, target]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    told = subprocess.run(words, check=True, start_new_session=True, stdout=subprocess.PIPE, text=True).stdout.split()
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if count(target) != files or os.listdir(source):
        raise SystemExit(f"{words}: something is left behind")
    return {
        "wall": wall,
        "user": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
        "switches": (after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw) / files,
        "workers": int(told[0]),
        "workers_cpu": float(told[1]),
    }


def variants(work):
    # Nothing is opened where files are only renamed.
    return {**THREADS, **RINGS, **(BEST if WORKS[work][1] == "copy" else {})}


def measure(works, rounds, samples, file):
    with tempfile.TemporaryDirectory(prefix="pmove-uring-") as parent:
        places = []
        try:
            places += [disk(parent, "a")]
            places += [disk(parent, "b")]
            for work in works:
                target = places[0 if WORKS[work][1] == "rename" else 1] + "/out"
                listed = list(variants(work).items())
                for _ in range(rounds):
                    # Each round begins with another one.
                    first = len(samples.get(work, {}).get(listed[0][0], [])) % len(listed)
                    for name, variant in listed[first:] + listed[:first]:
                        result = sample(work, variant, places[0] + "/in", target)
                        samples.setdefault(work, {}).setdefault(name, []).append(result)
                    with open(file, "w", encoding="utf-8") as kept:
                        json.dump(samples, kept)
        finally:
            for place in places:
                subprocess.run(["umount", place], check=True)


def table(samples):
    for work in filter(samples.get, WORKS):
        rounds = min(map(len, samples[work].values()))
        print(f"### {WORKS[work][0]}, {rounds} rounds\n")
        print("| way | median | min | user + system | io-wq threads | their CPU | switches a file | against 2 threads |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        base = statistics.median(one["wall"] for one in samples[work]["2 threads"])
        for name, all_of_it in samples[work].items():
            of = {key: statistics.median(one[key] for one in all_of_it) for key in all_of_it[0]}
            least = min(one["wall"] for one in all_of_it)
            print(
                f"| {name} | {of['wall']:.2f} s | {least:.2f} s | {of['user']:.2f} + {of['system']:.2f} s | "
                f"{of['workers']:.0f} | {of['workers_cpu']:.2f} s | {of['switches']:.1f} | {base / of['wall']:.2f} |"
            )
        print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", action="append", choices=WORKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", default=os.path.join(HERE, "target/samples.json"))
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    # So that nothing stays mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    samples = {}
    if os.path.exists(args.samples):
        with open(args.samples, encoding="utf-8") as file:
            samples = json.load(file)
    if not args.table:
        measure(args.work or WORKS, args.rounds, samples, args.samples)
    table(samples)


if __name__ == "__main__":
    sys.exit(main())
