"""Moves files with a pool of threads, as scripts that people write do: thread_pool.py SOURCE_DIR TARGET_DIR."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

source, target = Path(sys.argv[1]), Path(sys.argv[2])


def move(path):
    destination = target / path.relative_to(source)
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, destination)


with ThreadPoolExecutor() as pool:
    for _ in pool.map(move, [path for path in source.rglob("*") if path.is_file()]):
        pass

for directory in sorted((path for path in source.rglob("*") if path.is_dir()), reverse=True):
    directory.rmdir()
