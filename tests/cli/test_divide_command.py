"""``adaedge divide``: what it reads, what it says, and what it says of a wrong file."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from adaedge import cli
from adaedge.errors import ScheduleError
from benchmarks.policies_on_traces import lite0


@pytest.fixture
def folder(tmp_path):
    lite0().profile.save(tmp_path / "profile.json")
    return tmp_path


def written(folder, *rows):
    path = folder / "fleet.json"
    path.write_text(json.dumps(rows))
    return str(path)


def told(*arguments):
    return CliRunner().invoke(cli.app, ["divide", *arguments], catch_exceptions=False).stdout


ROBOT = {"name": "robot", "profile": "profile.json", "rate": 60, "radio": "nr-awake", "accuracy_floor": 0.95}


def test_a_fleet_is_divided(folder):
    path = written(folder, ROBOT | {"count": 12}, ROBOT | {"name": "camera", "rate": 20})
    found = json.loads(told(path, "--slots", "0.5", "--json"))
    assert len(found["shares"]) == 13
    assert found["shares"][3]["name"] == "robot 4"
    assert found["bound"] <= found["power_w"] <= 1.05 * found["bound"]
    assert 0.5 < sum(share["band"] for share in found["shares"]) <= 1 + 1e-9
    assert set(found["refused"]) == {share["name"] for share in found["shares"] if share["refused"]}
    words = told(path, "--slots", "0.05")
    assert max(map(len, words.splitlines())) <= 80
    assert "…" not in words
    assert "(no room)" in words
    assert "would send if there were room" in words


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"name": "robot", "profile": "profile.json"}, "lacks rate; it has name, profile, rate"),
        (ROBOT | {"rete": 3}, "has rete; it has name"),
        (ROBOT | {"rate": "60"}, "has rate = '60'; it has"),
        (ROBOT | {"rate": 0}, "rates of robot are in bit/s, above 0; got 0"),
    ],
)
def test_a_wrong_terminal_is_told(folder, row, text):
    with pytest.raises(ScheduleError, match=text):
        told(written(folder, row))


def test_a_wrong_file_is_told(folder):
    (folder / "fleet.json").write_text("robots")
    with pytest.raises(ScheduleError, match=r"fleet.json is not JSON"):
        told(str(folder / "fleet.json"))
    with pytest.raises(ScheduleError, match="is a list of terminals"):
        told(written(folder))
