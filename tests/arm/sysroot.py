"""Unpack an arm64 Debian with Python, and the emulator that runs it, into a folder: what ``make test-arm`` runs in.

``python tests/arm/sysroot.py FOLDER`` needs apt and dpkg, but no root: apt is given a state of its own inside the
folder, and packages are unpacked, not installed. It reads the host's Debian sources, so that its mirror and its keys
serve here too, and checks signatures as it always does; the host's apt is not changed.

    FOLDER/root       arm64 Debian
    FOLDER/emulator   qemu-aarch64-static
    FOLDER/env        a virtual environment; its ``bin/python`` is a shell script that starts the emulator
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHON = "python3.11"
# apt adds what these depend on. libstdc++6 is for wheels: ONNX Runtime and gRPC are C++ and do not bring it.
PACKAGES = (PYTHON, "libstdc++6")
EMULATOR = "qemu-user-static"
EMULATOR_BINARY = "usr/bin/qemu-aarch64-static"
# A Raspberry Pi 4's; the emulator's own default has every extension of the architecture, which no terminal has.
PROCESSOR = "cortex-a72"
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))

APT_CONFIGURATION = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{sources}";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; "{host}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
"""

CPUINFO = """\
processor\t: {index}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""

INTERPRETER = """\
#!/bin/sh
# The emulated process is told that this script is its interpreter, so that the processes it starts are emulated too.
exec "{emulator}" -cpu {processor} -L "{root}" -0 "$0" "{root}/usr/bin/{python}" "$@"
"""


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("expected the folder to make: python tests/arm/sysroot.py FOLDER")
    folder = Path(sys.argv[1]).resolve()
    require_debian()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as state:
        unpack(download(Path(state)), folder)
    describe_processors(folder / "root")
    make_environment(folder)


def require_debian() -> None:
    """Stop where apt, dpkg or Debian's sources are missing."""
    missing = [program for program in ("apt-get", "dpkg", "dpkg-deb") if shutil.which(program) is None]
    if missing:
        sys.exit(f"the ARM test needs a Debian host: {', '.join(missing)} not found")
    if not any(path.is_file() for path in SOURCES):
        sys.exit(f"the ARM test needs Debian's sources for apt: found neither of {', '.join(map(str, SOURCES))}")


def download(folder: Path) -> list[Path]:
    """Resolve and download the packages; returns their files."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    host = output("dpkg", "--print-architecture").strip()
    # An empty status file: nothing is installed there, so that apt resolves every dependency.
    (folder / "status").touch()
    (folder / "apt.conf").write_text(
        APT_CONFIGURATION.format(
            folder=folder,
            host=host,
            sources=next(path for path in SOURCES if path.is_file()),
        )
    )
    apt(folder, "update", "--error-on=any")
    apt(folder, "install", "--yes", "--download-only", *PACKAGES, f"{EMULATOR}:{host}")
    return sorted((folder / "archives").glob("*.deb"))


def apt(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(
            f"apt-get {arguments[0]} failed; the ARM test needs the network and a Debian whose Python is {PYTHON} "
            f"(Debian 12):\n{done.stderr}"
        )


def unpack(archives: list[Path], folder: Path) -> None:
    """Unpack the arm64 packages and, of the emulator's package, the one program that is needed."""
    root, emulator = folder / "root", folder / "emulator"
    for place in (root, emulator):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    for archive in archives:
        if archive.name.startswith(EMULATOR):
            # The whole of it is 300 MB: an emulator for each architecture.
            with tempfile.TemporaryDirectory(dir=folder) as unpacked:
                subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True)
                shutil.copy2(Path(unpacked) / EMULATOR_BINARY, emulator)
        else:
            subprocess.run(["dpkg-deb", "-x", archive, root], check=True)


def describe_processors(root: Path) -> None:
    """Write the ``/proc/cpuinfo`` of the emulated processor, which qemu 7.2 takes from the host.

    ONNX Runtime 1.32 reads ARM's fields there, and crashes on import where it finds those of x86.
    """
    path = root / "proc" / "cpuinfo"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(CPUINFO.format(index=index) for index in range(os.cpu_count() or 1)))


def make_environment(folder: Path) -> None:
    """A virtual environment, by hand: Python finds ``pyvenv.cfg`` beside the folder of its interpreter."""
    root, environment = folder / "root", folder / "env"
    interpreter = environment / "bin" / "python"
    interpreter.parent.mkdir(parents=True, exist_ok=True)
    emulator = folder / "emulator" / Path(EMULATOR_BINARY).name
    interpreter.write_text(INTERPRETER.format(emulator=emulator, processor=PROCESSOR, root=root, python=PYTHON))
    interpreter.chmod(0o755)
    (environment / "pyvenv.cfg").write_text(f"home = {root / 'usr/bin'}\ninclude-system-site-packages = false\n")
    (environment / "lib" / PYTHON / "site-packages").mkdir(parents=True, exist_ok=True)
    found = output(interpreter, "-c", "import platform, ssl, sqlite3; print(platform.machine())").strip()
    if found != "aarch64":
        sys.exit(f"the emulated Python says that it runs on {found}, not on aarch64")


def output(*command: str | Path) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
