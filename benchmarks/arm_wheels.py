"""Is there an aarch64 wheel of everything that a terminal needs?

pip resolves the base requirements for Linux on aarch64, wheels only, for each Python that the project supports, and
downloads nothing but what it must read. Bar: no package missing. It needs the network, so no test runs it.
pip judges conditions in requirements (``; python_version < "3.12"``) by the Python and the machine that it runs on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from benchmarks.result import write

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux2014_aarch64")


def main() -> None:
    """Resolve, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one Python only, nothing written")
    options = parser.parse_args()
    pythons = PYTHONS[:1] if options.smoke else PYTHONS
    rows = [resolve(python) for python in pythons]
    for row in rows:
        print(f"Python {row['python']}:", *(row["wheels"] or [row["missing"]]), sep="\n  ")
    met = not any(row["missing"] for row in rows)
    print("no package missing" if met else "MISSED")
    if not options.smoke:
        write("arm_wheels", rows, platforms=PLATFORMS, met=met)


def resolve(python: str) -> dict:
    """The wheels that pip would install on aarch64, or what it says is missing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    command += ["--only-binary=:all:", "--python-version", python, "--target", "nowhere"]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    done = subprocess.run([*command, *project["dependencies"]], capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    if done.returncode:
        return {"python": python, "wheels": [], "missing": " ".join(errors) or done.stderr}
    found = json.loads(done.stdout)["install"]
    files = sorted((Path(package["download_info"]["url"]).name for package in found), key=str.lower)
    return {"python": python, "wheels": files, "missing": ""}


if __name__ == "__main__":
    main()
