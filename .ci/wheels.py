"""Build adaedge's wheels for x86-64 and aarch64 Linux into ``dist/``, both here: ``python .ci/wheels.py``.

zig is a C compiler for any machine and any glibc. So ``manylinux_2_28`` keeps what it promises (glibc 2.28 suffices)
whatever machine this runs on, and neither a container nor an ARM machine is needed. Run it where ``setuptools`` and
``ziglang`` are installed.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
GLIBC = "2.28"
# Each machine's name, and its number in the header of an ELF file.
MACHINES = {"x86_64": 62, "aarch64": 183}
EXTENSIONS = (
    "adaedge/payload/entropy/_ans.abi3.so",
    "adaedge/payload/latent/_loops.abi3.so",
    "adaedge/stream/_looks.abi3.so",
)


def main() -> None:
    """Build both, and list them."""
    target = PROJECT / "dist"
    for old in target.glob("*.whl"):
        old.unlink()
    for machine in MACHINES:
        build(machine, target)
    for wheel in sorted(target.glob("*.whl")):
        sys.stdout.write(f"{wheel.relative_to(PROJECT)}\n")


def build(machine: str, target: Path) -> None:
    """One wheel. The headers are those of the Python that runs this: both machines have the same limited API."""
    compiler = f"{sys.executable} -m ziglang cc -target {machine}-linux-gnu.{GLIBC}"
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "wheel.cfg"
        platform = f"manylinux_{GLIBC.replace('.', '_')}_{machine}"
        configuration.write_text(f"[build]\nbuild_base = {folder}\n[bdist_wheel]\nplat_name = {platform}\n")
        environment = {
            **os.environ,
            "CC": compiler,
            "LDSHARED": f"{compiler} -shared -s",
            "DIST_EXTRA_CONFIG": str(configuration),
            "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
        }
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--wheel-dir", target, PROJECT], env=environment, check=True)
    check(next(target.glob(f"*_{machine}.whl")), machine)


def check(wheel: Path, machine: str) -> None:
    """Stop if an extension is missing, as it may (they are optional), or is for another machine."""
    with zipfile.ZipFile(wheel) as archive:
        for extension in EXTENSIONS:
            if extension not in archive.namelist():
                sys.exit(f"{wheel.name} has no {extension}: see what the compiler said with `pip wheel --verbose`")
            (number,) = struct.unpack_from("<H", archive.read(extension), 18)
            if number != MACHINES[machine]:
                wanted = f"{machine} ({MACHINES[machine]})"
                sys.exit(f"{wheel.name}: {extension} is for ELF machine {number}, not for {wanted}")


if __name__ == "__main__":
    main()
