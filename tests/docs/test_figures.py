"""Every figure of README.md is one of the results'."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import readme_figures

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What is no measurement: versions, licences, how a codec or a model is set, the demo's conditions.
NO_MEASUREMENT = {"0.1", "80", "0.2", "2.0", "0.5", "28", "264", "4", "3"}


@pytest.mark.parametrize("page", readme_figures.PAGES, ids=lambda page: page.name)
def test_the_figures_of_a_page_are_those_of_the_results(page):
    text = page.read_text(encoding="utf-8")
    assert len(readme_figures.BLOCK.findall(text)) == 2
    assert readme_figures.filled(text) == text, "write them anew: python -m benchmarks.readme_figures"


def test_no_figure_of_the_readme_stands_outside_of_what_is_made_from_results():
    prose = readme_figures.BLOCK.sub("", README)
    prose = re.sub(r"^```.*?^```$", "", prose, flags=re.MULTILINE | re.DOTALL)  # run by test_pages
    prose = re.sub(r"\]\([^)]*\)|`[^`]*`|\b[A-Za-z]+\d\S*|\bx86-64\b|\b5G\b", "", prose)
    assert set(re.findall(r"\d+(?:\.\d+)?", prose)) <= NO_MEASUREMENT


def test_a_figure_that_was_changed_by_hand_is_found():
    figure = re.search(r"robot demo: \d+", README)
    assert readme_figures.filled(README.replace(figure[0], "robot demo: 99", 1)) == README


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.082, 0.09, 0.104], "8, 9, 10 % less"),
        ([-0.02, 0.0, -0.021], "2, 0, 2 % more"),
        ([0.001, -0.004], "no difference"),
        ([0.02, -0.02], "2, -2 % less (below 0: more)"),
    ],
)
def test_savings_in_words(values, words):
    assert readme_figures.percent(values) == words


def test_what_misses_the_floor_is_in_brackets_and_counts_for_nothing(monkeypatch):
    poor = {"energy_j_per_frame": 0.01, "score": 0.5, "bytes_per_frame": 0, "deadline_miss_fraction": 0}
    good = poor | {"energy_j_per_frame": 0.2, "score": 0.95}
    for policy in (poor, good):
        policy["scenes"] = {readme_figures.STILL: {"energy_j_per_frame": policy["energy_j_per_frame"]}}
    policies = {"local int8": good, "JPEG always": poor, "H.264 always": poor, "adaptive": good}
    radios = dict.fromkeys(readme_figures.RADIOS, policies)
    monkeypatch.setattr(readme_figures, "demo", lambda: ({"accuracy_floor": 0.9}, radios))
    assert "| JPEG always | (0.010) |" in readme_figures.whole_demo()
    assert readme_figures.best_fixed() == "no difference"


def test_the_picture_has_words_for_those_who_do_not_see_it():
    picture = ET.parse(ROOT / "docs/overview.svg").getroot()
    title = picture.find("{http://www.w3.org/2000/svg}title")
    assert picture.get("aria-labelledby") == title.get("id")
    assert "radio link" in title.text
    assert re.search(r"!\[[^\]]{60,}\]\(docs/overview.svg\)", README)
