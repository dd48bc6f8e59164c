"""Every fenced block of README.md and docs/ is run. How each kind is checked, and what is not:

- ``python``: the blocks of a page are executed in order in one namespace, in an empty folder of the page.
- ``text`` right after a ``python`` block: what that block printed, line by line; ``…`` in it stands for anything (a
  time, a machine). A ``text`` block anywhere else is a drawing and is not checked.
- ``console``: one command a line, ``\\`` continues one. ``adaedge …`` is run for real, in the same folder; with ``&``
  behind it, it runs beside the page until the page ends. ``adaedge demo`` takes minutes and has tests of its own: only
  its options are checked. ``scp`` copies inside the folder, for both machines are this one. ``make TARGET`` must be a
  target of the Makefile, ``pip install '.[EXTRA]'`` must name an extra of the project; neither is run, nor what makes
  an environment or installs a package of the system. ``python -m recipes.NAME`` is run where it says ``--smoke``;
  otherwise it takes minutes, and only its options are checked.
- ``json``: must parse.
- Any other language, or another command, fails: add here how it is checked.

A page may use ``photos/``, a folder of a dozen JPEGs, as if it were the reader's own. The edge server's name,
``edge.local:50051``, becomes a free port of this machine.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image
from typer.testing import CliRunner

from adaedge import errors

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = ("demo",)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int


def blocks_of(text: str) -> list[Block]:
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 2) for m in FENCE.finditer(text)]


class Reader:
    """Does what a page says, in a folder of its own."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.namespace: dict[str, object] = {"__name__": "__main__"}
        self.printed = None
        self.beside: list[subprocess.Popen[str]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"

    def do(self, block: Block) -> None:
        check = getattr(self, f"_{block.language}", None)
        assert check, f"line {block.line}: nothing says how a block of {block.language!r} is checked"
        check(block)
        if block.language != "python":
            self.printed = None

    def close(self) -> None:
        for process in self.beside:
            process.terminate()
        for process in self.beside:
            process.communicate(timeout=20)

    def _python(self, block: Block) -> None:
        # Padded, so that a traceback names the line of the page.
        code = compile("\n" * (block.line - 1) + self._here(block.text), str(self.page), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, self.namespace)
        self.printed = printed.getvalue()

    def _text(self, block: Block) -> None:
        if self.printed is None:
            return
        wanted, got = block.text.strip().splitlines(), self.printed.strip().splitlines()
        assert len(wanted) == len(got), (
            f"line {block.line}: the page shows\n{block.text}\nand the code prints\n{self.printed}"
        )
        for shown, line in zip(wanted, got, strict=True):
            pattern = ".*".join(re.escape(part) for part in shown.rstrip().split("…"))
            assert re.fullmatch(pattern, line.rstrip()), (
                f"line {block.line}: the page shows {shown!r}, the code prints {line!r}"
            )

    def _json(self, block: Block) -> None:
        json.loads(block.text)

    def _console(self, block: Block) -> None:
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(self._here(line), comments=True)
            if words:
                self._command(words)

    def _command(self, words: list[str]) -> None:
        match words:
            case ["adaedge", *arguments, "&"]:
                self._start(arguments)
            case ["adaedge", *arguments]:
                self._adaedge(arguments)
            case ["scp", *flags_and_paths]:
                paths = [path.rpartition(":")[2] or "." for path in flags_and_paths if not path.startswith("-")]
                for path in paths[:-1]:
                    self._copy(Path(path), Path(paths[-1]))
            case ["make", target]:
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
            case ["python", "-m", name, *arguments] if name.startswith("recipes."):
                sys.path.insert(0, str(ROOT))
                recipe = importlib.import_module(name)
                (recipe.main if "--smoke" in arguments else recipe.parser().parse_args)(arguments)
            case ["pip", "install", what]:
                assert set(re.findall(r"\w+", what)) <= EXTRAS, what
            case ["ray", "start", *_] | ["sudo", "apt" | "add-apt-repository", *_] | ["source", ".venv/bin/activate"]:
                pass
            case [python, "-m", "venv", ".venv"] if re.fullmatch(r"python3(\.\d+)?", python):
                pass
            case _:
                raise AssertionError(f"nothing says how this command is checked: {words}")

    def _adaedge(self, arguments: list[str]) -> None:
        from adaedge.cli import app

        if arguments[0] in NOT_RUN or "--ray" in arguments:  # a cluster is the reader's own
            typer.main.get_command(app).commands[arguments[0]].make_context(arguments[0], arguments[1:])
            return
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output

    def _start(self, arguments: list[str]) -> None:
        command = [sys.executable, "-m", "adaedge", *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        self.beside.append(process)
        assert process.stdout.readline(), f"{arguments} ended before it said that it is ready"

    def _copy(self, source: Path, target: Path) -> None:
        assert source.exists(), f"the page copies {source}, which is not there"
        target = target / source.name if target.is_dir() else target
        if target.resolve() != source.resolve():
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)

    def _here(self, text: str) -> str:
        """The page's two machines are this one."""
        return (
            text.replace("edge.local:50051", self.address)
            .replace("0.0.0.0:50051", self.address)
            .replace("--name edge.local", "--name 127.0.0.1")
        )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader") / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(12):
        coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(folder / f"{index:02}.jpg")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_does_what_the_page_says(page, photos, tmp_path, monkeypatch):
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    reader = Reader(page)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # random weights: the pages' models are untrained
            for block in blocks_of(page.read_text(encoding="utf-8")):
                reader.do(block)
    finally:
        reader.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_fences_are_closed_and_name_their_language():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(blocks_of(text)), page
        assert all(block.language for block in blocks_of(text)), page


def test_the_reference_names_every_option_and_every_error():
    from adaedge.cli import app

    page = (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}"))
        named = set(re.findall(r"`(--[a-z-]+)`", row))
        assert named == {option.opts[0] for option in command.params if option.opts[0].startswith("--")}, name
    drawn = [line.strip() for line in errors.__doc__.splitlines() if "Error " in line]
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    assert drawn
    assert all(line in page for line in drawn)


def test_a_page_that_lies_is_caught(tmp_path):
    reader = Reader(tmp_path / "page.md")
    reader.do(Block("python", "x = 2\nprint(x, 0.123)", 1))
    reader.do(Block("text", "2 0.…", 1))
    reader.do(Block("python", "print(x + 1)", 1))
    with pytest.raises(AssertionError, match="the page shows '4', the code prints '3'"):
        reader.do(Block("text", "4", 1))
    reader.do(Block("console", "pip install '.[prepare,report]'\npip install .", 1))
    with pytest.raises(AssertionError, match=r"\.\[torch\]"):
        reader.do(Block("console", "pip install '.[torch]'", 1))
    with pytest.raises(AssertionError, match="nothing says how this command is checked"):
        reader.do(Block("console", "rm photos", 1))
    with pytest.raises(AssertionError, match="nothing says how a block of 'perl'"):
        reader.do(Block("perl", "", 1))
    with pytest.raises(Exception, match="No such option"):
        reader.do(Block("console", "adaedge demo --no-such-option", 1))
    with pytest.raises(AssertionError, match="No such"):
        reader.do(Block("console", "adaedge report --no-such-option", 1))
