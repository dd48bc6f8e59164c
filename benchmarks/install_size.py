"""How long does a plain install take, and how large is it?

``pip install .`` into a new environment, without a cache, as a terminal's owner does it: what came is listed by
distribution, with the bytes of its files, byte code included. pip and what else a new environment holds are not
counted. Bars: at most 60 s, at most 350 MB, and nothing that an extra brings.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import Distribution, distributions
from pathlib import Path

from adaedge.extras import EXTRAS
from benchmarks.result import write

ROOT = Path(__file__).parents[1]
SECONDS_BAR_S = 60.0
SIZE_BAR_BYTES = 350e6


def main() -> None:
    """Install some times, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one install only, nothing written")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    runs = [install() for _ in range(1 if options.smoke else options.repetitions)]
    rows = runs[-1][1]
    seconds = sorted(taken_s for taken_s, _ in runs)
    size_bytes = sum(row["bytes"] for row in rows)
    extra = sorted({row["name"].lower().replace("-", "_") for row in rows} & set(EXTRAS))
    for row in rows:
        print(f"{row['name']:20} {row['version']:12} {row['bytes'] / 1e6:7.1f} MB")
    middle_s = statistics.median(seconds)
    met = middle_s <= SECONDS_BAR_S and size_bytes <= SIZE_BAR_BYTES and not extra
    print(f"{middle_s:.1f} s, {size_bytes / 1e6:.1f} MB, of an extra: {extra or 'nothing'}")
    print("bars: " + ("met" if met else "MISSED"))
    if not options.smoke:
        bars = {"seconds_bar_s": SECONDS_BAR_S, "size_bar_bytes": SIZE_BAR_BYTES}
        write("install_size", rows, seconds=seconds, size_bytes=size_bytes, of_an_extra=extra, **bars, met=met)


def install() -> tuple[float, list[dict]]:
    """Seconds of one install, and what it brought, the largest first."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        (packages,) = Path(scratch).glob("lib/python*/site-packages")
        before = {found.name for found in distributions(path=[str(packages)])}
        command = [f"{scratch}/bin/python", "-m", "pip", "install", "--quiet", "--no-cache-dir", str(ROOT)]
        start_s = time.perf_counter()
        subprocess.run(command, check=True)
        taken_s = time.perf_counter() - start_s
        came = [found for found in distributions(path=[str(packages)]) if found.name not in before]
        return taken_s, sorted(map(size, came), key=lambda row: -row["bytes"])


def size(distribution: Distribution) -> dict:
    """Bytes of a distribution's files, as its RECORD lists them."""
    paths = [Path(str(file.locate())) for file in distribution.files or []]
    sizes = {path: path.stat().st_size for path in paths if path.exists()}
    code_bytes = sum(value for path, value in sizes.items() if path.suffix == ".pyc")
    return {
        "name": distribution.name,
        "version": distribution.version,
        "files": len(sizes),
        "bytes": sum(sizes.values()),
        "byte_code_bytes": code_bytes,
    }


if __name__ == "__main__":
    main()
