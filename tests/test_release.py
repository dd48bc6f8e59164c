"""What is released: one version, a complete wheel, and a workflow that runs what must hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import adaedge

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """As `pip wheel` builds it, but without the loops in C: they are optional, and `.ci/wheels.py` looks for them."""
    pytest.importorskip("setuptools", "77")
    folder = tmp_path_factory.mktemp("wheel")
    program = f"from setuptools import build_meta; print(build_meta.build_wheel({str(folder)!r}))"
    copy = folder / "project"
    copy.mkdir()
    for name in ("adaedge", "pyproject.toml", "README.md", "LICENSE"):
        (copy / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=copy, env=os.environ | {"CC": "false"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        yield archive


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "adaedge").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert "adaedge/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"adaedge"}
    assert not [name for name in names if re.search(r"(^|/)(tests?|benchmarks|recipes|docs)/", name)]


def test_the_installed_wheel_not_the_checkout_runs_the_tutorial(wheel, tmp_path):
    """The pages' blocks in another process, which finds the package where the wheel was unpacked and nowhere else."""
    pytest.importorskip("torch")
    wheel.extractall(tmp_path / "site")
    program = f"""
import sys
sys.path[:] = [{str(tmp_path / "site")!r}, *(path for path in sys.path if path not in ("", {str(ROOT)!r}))]
import adaedge, pytest
assert adaedge.__file__.startswith({str(tmp_path / "site")!r}), adaedge.__file__
pages = [f"{{name}}.md" for name in ("docs/tutorial/split-your-own-model", "docs/index")]
test = "tests/docs/test_pages.py::test_every_block_of_a_page_does_what_the_page_says"
code = pytest.main(["-q", "-p", "no:cacheprovider", *(f"{ROOT}/{{test}}[{{page}}]" for page in pages)])
assert adaedge.__file__.startswith({str(tmp_path / "site")!r}), adaedge.__file__
sys.exit(code)
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_wheel_says_what_it_is(wheel):
    (about,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    text = wheel.read(about).decode()
    assert f"\nVersion: {adaedge.__version__}\n" in text
    assert "\nLicense-Expression: Apache-2.0\n" in text
    (entries,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "adaedge = adaedge.cli:main" in wheel.read(entries).decode()


def test_the_version_stands_in_one_place():
    assert PROJECT["dynamic"] == ["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == adaedge.__version__
    assert re.search(r"^license: (.*)$", citation, re.MULTILINE)[1] == PROJECT["license"]


def test_the_workflow_runs_what_must_hold_on_each_python():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert "run: .ci/run\n" in workflow
    assert 'python: ["3.11", "3.12", "3.13"]' in workflow
    assert PROJECT["requires-python"] == ">=3.11"


def test_the_hooks_before_a_commit_are_those_of_make_check():
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    tools = [re.sub(r"\$\(BIN\)/", "", line.strip()).removesuffix(" .") for line in check.splitlines()]
    assert tools == ["ruff check", "ruff format --check", "mypy"]
    assert all(f"entry: .venv/bin/{tool}\n" in hooks for tool in tools)


@pytest.mark.parametrize("name", ["SECURITY.md", "CODE_OF_CONDUCT.md", "CITATION.cff", "LICENSE", "CHANGELOG.md"])
def test_what_a_release_has_is_there(name):
    assert len((ROOT / name).read_text(encoding="utf-8")) > 200
