"""The site: navigation has each page, the glossary each public name, and troubleshooting quotes what is really said."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import adaedge
from benchmarks import tutorial_pictures

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_each_page_is_in_the_navigation():
    named = set(re.findall(r": ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert named == pages | {"repository/benchmarks/README.md"}, "list the page under nav in mkdocs.yml"


def test_the_glossary_and_the_reference_have_each_public_name():
    glossary = (DOCS / "glossary.md").read_text(encoding="utf-8")
    reference = (DOCS / "reference/api.md").read_text(encoding="utf-8")
    for name in adaedge.__all__:
        assert f"| `adaedge.{name}` |" in glossary, f"say what {name} is in docs/glossary.md"
        if name != "__version__":
            home = adaedge._HOMES[name]
            assert f"::: adaedge.{home}.{name}\n" in reference, f"list {name} in docs/reference/api.md"


def test_what_troubleshooting_quotes_is_really_said():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "adaedge").rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", source).replace('\\"', '"')  # a message may go over several lines
    page = (DOCS / "how-to/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(quoted) >= 25
    assert [words for words in quoted if words not in said] == []


def test_pictures_have_words_for_those_who_do_not_see_them():
    for page in (ROOT / "README.md", *DOCS.rglob("*.md")):
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert len(words) > 10, f"{page.name}: say what {target} shows"


def test_each_tutorial_has_a_picture_beside_it():
    for page in (DOCS / "tutorial").glob("*.md"):
        pictures = re.findall(r"!\[[^\]]+\]\(([^):]+)\)", page.read_text(encoding="utf-8"))
        assert any((page.parent / name).exists() for name in pictures), f"draw what {page.name} is about"


def test_a_tutorials_picture_is_what_its_code_counts():
    drawn = tutorial_pictures.on_paper(tutorial_pictures.split_points(tutorial_pictures.split_of_the_page()))
    stored = (DOCS / "tutorial/split-your-own-model.svg").read_text(encoding="utf-8")
    for name in ("input", "stem", "body", "output"):
        assert f">{name}</text>" in drawn
    assert drawn.count("<use ") == stored.count("<use "), "run `python -m benchmarks.tutorial_pictures` again"


@pytest.mark.slow
def test_a_tutorials_run_loses_its_edge_server_and_finds_it_again():
    by = [record.measurement.answered_by for record in tutorial_pictures.outage(150)]
    assert by[10] == by[-1] == "edge"
    assert by[80] == "terminal"


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("mkdocs"), reason="needs the extra docs")
def test_the_site_is_built_strictly(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "GrpcLink" in home
    assert "<code" in (tmp_path / "reference/api.html").read_text(encoding="utf-8")
    assert not re.search(r'<(?:script|link)[^>]*(?:src|href)="https?://', home), "a page fetches nothing"
