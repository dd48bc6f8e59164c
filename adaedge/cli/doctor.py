"""The command that says what this machine has: ``doctor``. Nothing is downloaded, built or measured.

May import, inside the command: ``extras``, ``engine``, ``payload``, ``bundle``, ``stream``, ``profiling``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from adaedge._version import __version__
from adaedge.cli import show
from adaedge.cli.limits import Json

PACKAGES = ("numpy", "onnxruntime", "grpcio", "av", "Pillow", "cryptography", "safetensors")
"""What a terminal needs, by the names of their distributions."""
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
"""Of a processor's instruction sets those that ONNX Runtime's arithmetic, int8 above all, is faster with."""
_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}


def doctor(as_json: Json = False) -> None:
    """Say what this machine has: versions, engines, encoders, instruction sets, modem, power meters.

    What is missing is no error: a terminal needs no camera, and an edge server no encoder.

    Example: `adaedge doctor --json`
    """
    found = examined()
    if as_json:
        show.document(json.dumps(found, indent=1))
        return
    show.console.print(_table({title: rows for title, rows in found.items() if isinstance(rows, dict)}))
    for line in found["advice"]:
        show.console.print(line, highlight=False)


def examined(root: Path = Path("/")) -> dict[str, Any]:
    """Everything that ``doctor`` says, as one document.

    Args:
        root: where the system's files are, ``/proc`` and ``/sys``; another one for tests.
    """
    found: dict[str, Any] = {
        "machine": _machine(root),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": _extras(),
        "engines": _engines(),
        "compiled_loops": _loops(),
        "image_encoders": _image_encoders(),
        "video_codecs": _video_codecs(),
        "devices": _devices(root),
    }
    return found | {"advice": list(_advice(found))}


def _machine(root: Path) -> dict[str, Any]:
    from adaedge.profiling import processor

    return {
        "adaedge": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "instruction_sets": _instructions(root),
    }


def _instructions(root: Path) -> list[str]:
    info = root / "proc/cpuinfo"
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    flags = {word for line in lines if line.lower().startswith(("flags", "features")) for word in line.split()}
    return [name for name in INSTRUCTIONS if name in flags]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _extras() -> dict[str, str]:
    """Extra → ``installed``, or what of it is missing."""
    from adaedge.extras import EXTRAS

    missing: dict[str, list[str]] = {extra: [] for extra in EXTRAS.values()}
    for package, extra in EXTRAS.items():
        if package not in sys.modules and importlib.util.find_spec(package) is None:
            missing[extra].append(package)
    return {extra: f"without {', '.join(names)}" if names else "installed" for extra, names in missing.items()}


def _engines() -> dict[str, str]:
    import onnxruntime

    from adaedge.engine import OPENVINO, available, version_of

    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    found = {"onnxruntime": f"{onnxruntime.__version__}: {providers}; adaedge uses CPU"}
    return found | ({OPENVINO: version_of(OPENVINO).split()[-1]} if OPENVINO in available() else {})


def _loops() -> dict[str, bool]:
    from adaedge.bundle import axis_filter
    from adaedge.payload.entropy import stack
    from adaedge.payload.latent import loops
    from adaedge.stream import looks

    parts = {"entropy coder": stack, "bottleneck": loops, "resizing": axis_filter, "change of a frame": looks}
    return {name: part.compiled is not None for name, part in parts.items()}


def _image_encoders() -> dict[str, bool]:
    from PIL import features

    return {name: bool(features.check(part)) for name, part in (("jpeg", "jpg"), ("webp", "webp"), ("avif", "avif"))}


def _video_codecs() -> dict[str, str]:
    from adaedge.payload.video.libraries import available

    return {
        one.codec: ", ".join(
            f"{verb} {library.name}" if library else f"does not {verb}"
            for verb, library in (("encode", one.encoder), ("decode", one.decoder))
        )
        for one in available()
    }


def _devices(root: Path) -> dict[str, Any]:
    """What is there to see with, to hear the link with, and to measure joules with."""
    powers = (root / "sys/class/power_supply").glob("*/type")
    batteries = [path.parent.name for path in powers if path.read_text(encoding="utf-8").strip() == "Battery"]
    counters = [path for path in (root / "sys/class/powercap").glob("*/energy_uj") if os.access(path, os.R_OK)]
    shunts = [path.parent.name for path in (root / "sys/class/hwmon").glob("*/power1_input")]
    return {
        "cameras": sorted(path.name for path in (root / "dev").glob("video*")),
        "modem": "mmcli" if shutil.which("mmcli") else None,
        "batteries": sorted(batteries),
        "power_meters": sorted([path.parent.name for path in counters] + shunts),
    }


def _advice(found: dict[str, Any]) -> Iterable[str]:
    missing = [name for name, version in found["packages"].items() if version is None]
    if missing:
        yield f"Not installed: {', '.join(missing)}. Install adaedge anew with `pip install adaedge`."
    if not all(found["compiled_loops"].values()):
        slower = ", ".join(name for name, built in found["compiled_loops"].items() if not built)
        yield f"Loops in C were not built ({slower}): they are several times slower. Install a wheel or a compiler."
    if not _INT8 & set(found["machine"]["instruction_sets"]):
        yield "This processor has no int8 dot products: int8 may be no faster than fp32. `adaedge profile` tells."
    for extra, state in found["extras"].items():
        if state != "installed":
            yield f"For the extra {extra}: `pip install 'adaedge[{extra}]'` ({state})."
    if not found["devices"]["power_meters"]:
        yield "No power meter can be read: joules are modelled from presets (docs/how-to/calibrate-energy.md)."


def _table(parts: dict[str, dict[str, Any]]) -> Table:
    table = Table("part", "what", "here", box=box.SIMPLE_HEAD, pad_edge=False)
    for title, rows in parts.items():
        table.add_section()
        for index, (name, value) in enumerate(rows.items()):
            table.add_row("" if index else title.replace("_", " "), name.replace("_", " "), _said(value))
    return table


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
