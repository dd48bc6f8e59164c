"""`adaedge benchmark`: what it prints, and what it says when something is wrong."""

import json

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from adaedge import cli
from adaedge.errors import EnergyError, ScheduleError, SourceError, TraceError


@pytest.fixture(scope="module")
def there(bundle, frames, tmp_path_factory):
    """A bundle's folder and a video."""
    folder = tmp_path_factory.mktemp("benchmark")
    bundle.save(folder / "tiny.bundle")
    with av.open(str(folder / "made.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width = stream.height = 64
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return folder


def told(there, *more, clip="made.mp4"):
    fixed = ("--frames", "20", "--played", "6", "--repetitions", "1", "--terminals", "phone-npu,raspberry-pi-5")
    arguments = ("benchmark", str(there / "tiny.bundle"), "--clips", str(there / clip), *fixed, *more)
    return CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def test_it_prints_a_row_for_each_mode_and_technique_of_each_cell(there):
    page = there / "page.html"
    done = told(there, "--radios", "nr-drx", "--links", "4mbps,umi-walk", "--json", "-o", str(page))
    rows = json.loads(done.stdout)
    assert {(row["terminal"], row["link"]) for row in rows} == {
        (terminal, link) for terminal in ("phone-npu", "raspberry-pi-5") for link in ("4mbps", "umi-walk")
    }
    for row in rows:
        assert (row["network"], row["clip"], row["radio"]) == ("tiny", "made", "nr-drx")
        assert row["energy_j"] >= 0
        assert 0 <= row["accuracy"] <= 1
        assert 0 <= row["misses"] <= 1
        assert row["metric"] == "agreement"
    assert {"local", "full, JPEG", "partial", "dynamic partition", "all together"} <= {
        row["mode_or_technique"] for row in rows
    }
    assert "<h1>tiny.bundle: which technique pays where</h1>" in page.read_text(encoding="utf-8")


def test_for_people_it_is_a_table(there):
    done = told(there, "--radios", "nr-awake", "--links", "4mbps")
    assert "all together" in done.stdout
    assert "made on phone-npu, nr-awake, 4mbps" in done.stdout
    assert "In brackets: answers below the floor" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        (("--terminals", "toaster"), EnergyError, "no terminal 'toaster'; there are: raspberry-pi-4"),
        (("--radios", "smoke"), EnergyError, "no radio preset 'smoke'; there are: nr-drx"),
        (("--links", "fastmbps"), TraceError, "written as 4mbps; got 'fastmbps'"),
        (("--links", "none.csv"), TraceError, "no link 'none.csv': name a file"),
        (("--scenario", "tea"), ScheduleError, "no scenario 'tea'; there are: robot-video"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_measured(there, more, error, words):
    with pytest.raises(error, match=words):
        told(there, *more)


def test_a_clip_that_is_not_there_is_said(there):
    with pytest.raises(SourceError, match=r"there is no file .*none\.mp4"):
        told(there, clip="none.mp4")
