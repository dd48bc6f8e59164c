"""The benchmarks' page: three short tables, and each line's file is there."""

from __future__ import annotations

import re
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PAGE = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
SHORT = 170


def lines():
    return [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| question")]


def test_the_page_is_three_tables_of_short_lines():
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == [
        "Bars that are met", "Bars that are missed", "Published without a bar",
    ]  # fmt: skip
    for line in lines():
        said = re.sub(r"\]\([^)]*\)", "", line.split(" | ", 1)[1])  # the question may be as long as it is
        assert len(said) < SHORT, f"put the rest into DETAILS.md: {line}"


def test_each_result_of_a_line_is_there_and_each_question_is_in_the_details():
    details = (BENCHMARKS / "DETAILS.md").read_text(encoding="utf-8")
    for line in lines():
        for name in re.findall(r"`(\w+)`(?:\]\([^)]*\))?[,)\s|]", line.rsplit(" | ", 1)[1] + " "):
            assert f"`{name}`" in details, f"say in DETAILS.md what {name} came from"
    for target in re.findall(r"\]\((results/[^)]*)\)", PAGE):
        assert (BENCHMARKS / target).exists()


def test_each_result_has_a_line():
    named = set(re.findall(r"`(\w+)`", PAGE))
    results = {path.stem for path in (BENCHMARKS / "results").glob("*.json")}
    assert results - named == set(), "a result without a line"
