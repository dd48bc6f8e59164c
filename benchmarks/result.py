"""Write a benchmark's result with what a reader needs to judge and repeat it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adaedge.profiling import processor

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "adaedge",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
    "grpcio",
    "numpy",
)


def write(name: str, rows: Any, **settings: Any) -> Path:
    """Write ``benchmarks/results/NAME.json``: the rows, the settings, and where, when and how they were measured."""
    script = Path(sys.argv[0]).stem
    document = {
        "benchmark": name,
        "command": " ".join(["python", "-m", f"benchmarks.{script}", *map(_without_folder, sys.argv[1:])]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()} | {package: _version(package) for package in PACKAGES},
        "settings": settings,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def _without_folder(argument: str) -> str:
    """An absolute path is this machine's: its last part says enough."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def _commit() -> str:
    """The commit; ``-dirty`` where anything but the results differs from it."""
    commit = _git("describe", "--always")
    dirty = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)benchmarks/results")
    return f"{commit}-dirty" if dirty else commit or "unknown"


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
