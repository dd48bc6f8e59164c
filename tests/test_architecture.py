"""The house: its order, and its line between what needs torch and what does not."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import adaedge

ROOT = Path(adaedge.__file__).parent
UPPER = [
    "_version",
    "errors",
    "arrays",
    "extras",
    "late",
    "named_objects",
    "clip",
    "operating_point",
    "energy",
    "channel",
    "payload",
    "metrics",
]
UPPER += [
    "payload",
    "metrics",
    "engine",
    "detection",
    "bundle",
    "cascade",
    "taught",
    "stream",
    "profiling",
    "scheduling",
    "runtime",
    "cluster",
    "simulation",
    "fleet",
    "report",
]
UPPER += ["forecast", "substitution", "matrix"]
LOWER = ["models", "graph", "levels", "bottleneck", "incremental", "distillation", "builder", "demo", "cli", "__main__"]
ORDER = UPPER + LOWER
# What prepares models; onnx and onnxscript write graphs, which a terminal never does.
TRAINING_PACKAGES = {
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "accelerate",
    "torch_pruning",
    "onnx",
    "onnxscript",
    "onnx_ir",
}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Full names of the modules that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_part_imports_only_parts_listed_above_it(path):
    part = part_of(path)
    assert part in ORDER, f"{part} is not in the house: list it in its place"
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        if package == "adaedge" and rest.split(".")[0] in ORDER:
            used = rest.split(".")[0]
            assert ORDER.index(used) <= ORDER.index(part), f"{path.name} ({part}) must not import {used}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_runs_on_a_terminal_never_imports_what_prepares_models(path):
    if part_of(path) in UPPER:
        assert not {name.partition(".")[0] for name in imports_of(path)} & TRAINING_PACKAGES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_stay_readable(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300, "a part becomes a folder when it passes 300 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.body[bool(ast.get_docstring(node)) and len(node.body) > 1].lineno
            assert lines < 60, f"{path.name}: {node.name} passes 60 lines"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) (pickle|marshal|shelve|dill|joblib)\b", text, re.MULTILINE)
    for call in re.findall(r"torch\.load\([^)]*\)", text):
        assert "weights_only=True" in call
    assert "allow_pickle=True" not in text


def test_the_upper_half_imports_where_torch_is_banned():
    upper = [f"adaedge.{part}" for part in UPPER if (ROOT / part).is_dir() or (ROOT / f"{part}.py").exists()]
    program = (
        "import sys, importlib\n"
        f"for name in {sorted(TRAINING_PACKAGES)!r}: sys.modules[name] = None\n"
        f"for name in {upper!r}: importlib.import_module(name)\n"
        "from adaedge import Bundle, Scheduler, Terminal, GrpcLink, EdgeServer, Profile, profile\n"
        "import adaedge.cli\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/explanation/architecture.md"])
def test_the_house_is_drawn_with_all_its_rooms(page):
    text = (ROOT.parent / page).read_text(encoding="utf-8")
    drawn = set(re.findall(r"\b(\w+)(?:/|\.py)(?=[\s`,]|$)", text, re.MULTILINE)) | set(re.findall(r"\| `(\w+)`", text))
    assert {part for part in ORDER if not part.startswith("_")} - drawn == set(), "draw it there"


def test_every_public_name_exists():
    for name in adaedge.__all__:
        assert getattr(adaedge, name) is not None
    with pytest.raises(AttributeError, match=r"adaedge has no 'Splitable'; it has: .*Splittable"):
        adaedge.Splitable  # noqa: B018


@pytest.mark.parametrize("part", ["", *sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").exists())])
def test_no_module_bears_the_name_of_a_public_function(part):
    package = importlib.import_module(f"adaedge.{part}".rstrip("."))
    modules = {path.stem for path in (ROOT / part).iterdir()}
    functions = {name for name in getattr(package, "__all__", ()) if inspect.isfunction(getattr(package, name))}
    assert not modules & functions


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_energy_knows_how_a_radio_falls_asleep(path):
    """Others ask `Radio`. (A `Cost` has a ``tail_s`` as well: the second part of a network.)"""
    if part_of(path) == "energy":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.attr if isinstance(node, ast.Attribute) else node.arg if isinstance(node, ast.keyword) else None
        of_radio = isinstance(node, ast.Attribute) and "radio" in ast.unparse(node.value).lower()
        assert name not in ("tail_w", "promotion_s", "promotion_w"), f"{path.name} reads {name}"
        assert not (name == "tail_s" and of_radio), f"{path.name} reads a radio's tail"
    assert not re.search(r"\bRadioPower\b|\bNrDrx\b", path.read_text(encoding="utf-8")), "ask the protocol, Radio"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_head_of_a_file_names_the_parts_that_it_imports(path):
    """Those of ``errors`` and what has no content of its own may go unsaid."""
    head = re.search(
        r"May import[^:]*:(.*?)(?:\n\n|\Z)", ast.get_docstring(ast.parse(path.read_text())) or "", re.DOTALL
    )
    if head is None or "every part above the line" in head[1]:
        return
    named = {name.split(".")[0] for name in re.findall(r"``([\w.]+)``", head[1])}
    used = {name.split(".")[1] for name in imports_of(path) if name.startswith("adaedge.")}
    assert used & {*ORDER} <= named | {part_of(path), "_version", "arrays", "errors", "extras", "late"}
