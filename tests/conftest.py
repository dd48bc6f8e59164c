"""What several tests share: the folder of real inputs, and no network."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# These run in an environment without torch: `make test-terminal`.
collect_ignore = ["terminal_only", "arm"]

if importlib.util.find_spec("hypothesis"):  # the terminal's own environment is without it
    from hypothesis import settings

    # The default run draws the same examples everywhere; `make test-all` draws new ones.
    settings.register_profile("same", derandomize=True)
    settings.register_profile("explore", print_blob=True)
    settings.load_profile("same")

TORCH_IS_HERE = importlib.util.find_spec("torch") is not None
IMPORTS_TORCH = re.compile(r"^(?:import|from) (?:torch|timm)\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the files that import torch where it is not installed: `make test-arm`."""
    if TORCH_IS_HERE or collection_path.suffix != ".py":
        return None
    return True if IMPORTS_TORCH.search(collection_path.read_text()) else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real photographs, clips and traces; the test is skipped where it is absent."""
    root = Path(__file__).parent.parent
    path = Path(os.environ.get("ADAEDGE_DATA", root.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip("the folder of real inputs is absent (ADAEDGE_DATA names it)")
    return path
