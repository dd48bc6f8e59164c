"""Pictures and clips that a build is calibrated on; codecs with a state are measured in order."""

from __future__ import annotations

import gc
import weakref

import av
import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Clip, OperatingPoint, Space, build, profile
from adaedge.builder import top1
from adaedge.builder.samples import Samples, evenly_spaced
from adaedge.bundle import Preprocessing
from adaedge.bundle.frames import prepare
from adaedge.errors import CodecError, SourceError
from adaedge.metrics import LabelAccuracy
from adaedge.payload import StreamPosition

PREPROCESSING = Preprocessing(size=(32, 32), crop=1.0)
IMAGE = (torch.zeros(1, 3, 32, 32),)
VIDEO = OperatingPoint("input", codec="h264@28")


def frames(count, speed=1, size=(48, 64)):
    """A square that moves over a textured ground."""
    ground = np.random.default_rng(0).integers(60, 120, (*size, 3), dtype=np.uint8)
    shown = []
    for at in range(count):
        frame = ground.copy()
        left = at * speed % (size[1] - 12)
        frame[10:22, left : left + 12] = 230
        shown.append(frame)
    return shown


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 5)
    ).eval()


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in frames(9):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return path


def lengths(given):
    return [len(clip.inputs) for clip in Samples.read(given, PREPROCESSING).clips]


def test_tables_of_changes_are_fitted_on_the_first_halves_in_order():
    shown = frames(12)
    samples = Samples.read([shown[0], shown[:9], shown[:3], shown], PREPROCESSING)
    assert samples.runs(100) == [[1, 2, 3, 4], [13, 14, 15, 16, 17, 18]]
    assert samples.runs(6) == [[1, 2], [13, 14]]
    judged = set(samples.divided(64)[1])
    assert not judged & {at for run in samples.runs(100) for at in run}
    assert Samples.read(shown, PREPROCESSING).runs(100) == []


def test_what_calibrate_takes(film):
    shown = frames(3)
    assert lengths(None) == []
    assert lengths(shown) == [1, 1, 1]
    assert lengths(np.stack(shown)) == [1, 1, 1]
    assert lengths([shown, shown[:2]]) == [3, 2]
    assert lengths([np.stack(shown)]) == [3]
    assert lengths([Clip(shown, 25.0), shown[0], film, str(film)]) == [3, 1, 9, 9]
    assert lengths(Clip(shown, 25.0)) == [3]
    assert lengths(film) == [9]
    assert lengths([(np.zeros((1, 32, 32, 3), np.uint8),)] * 2) == [1, 1]
    assert lengths([[(np.zeros((1, 32, 32, 3), np.uint8),)] * 2]) == [2]
    assert lengths(iter(shown)) == [1, 1, 1]


def test_what_is_no_clip_is_refused(tmp_path):
    with pytest.raises(SourceError, match="a clip's frames have one size; frame 0 is"):
        lengths([[*frames(2), *frames(1, size=(40, 40))]])
    with pytest.raises(SourceError, match="there is no file"):
        lengths([tmp_path / "none.mp4"])
    with pytest.raises(SourceError, match="a clip holds at least one frame; got none"):
        lengths([[]])


def test_a_clips_own_second_half_judges_what_its_first_half_was_fitted_on():
    samples = Samples.read([frames(10), *frames(3)], PREPROCESSING)
    fitted, judged = samples.divided(64)
    assert fitted == [0, 1, 2, 3, 4, 10, 12]
    assert judged == [5, 6, 7, 8, 9, 11]
    fitted, judged = Samples.read(frames(10), PREPROCESSING).divided(2)
    assert (fitted, judged) == ([0, 5], [1, 2, 3, 4, 6, 7, 8, 9])
    assert Samples.read(frames(1), PREPROCESSING).divided(64) == ([0], [0])


def test_amounts_of_change_are_found_in_the_clips():
    assert Samples.read(frames(4), PREPROCESSING).changes == (1.0,)
    still = Samples.read([frames(8, speed=0)], PREPROCESSING).changes
    assert still == (0.0, 1.0)
    moving = Samples.read([frames(32)], PREPROCESSING).changes
    assert 2 <= len(moving) <= 5
    assert list(moving) == sorted(moving)


def test_a_clip_slides_through_the_window_at_every_stride():
    told = Preprocessing(size=(32, 32), crop=1.0, frames=3, stride=2)
    shown = frames(40)
    (clip,) = Samples.read([shown], told).clips
    ready = [prepare(frame, told) for frame in shown]

    def window(order, at):
        return np.stack([ready[order[max(0, at - age)]] for age in (4, 2, 0)], axis=1)

    for play, stride in zip(clip.plays(), (1, 4, 16), strict=True):
        order = range(0, 40, stride)
        assert len(play) == len(order)
        for at, ((given,), change) in enumerate(play):
            np.testing.assert_array_equal(given, window(order, at))
            assert (change == 1.0) == (at == 0)
    (filled,), (given,) = (one.inputs[0] for one in Samples.read([shown[5], (window(range(40), 9),)], told).clips)
    np.testing.assert_array_equal(filled, np.stack([ready[5]] * 3, axis=1))
    assert given.shape == (1, 3, 32, 32, 3)


def test_a_video_codec_is_measured_in_order(network):
    shown = frames(12)
    space = Space(codecs=["raw", "h264@28", "jpeg@90"])
    bundle = build(network, IMAGE, space, calibrate=[shown], preprocessing=PREPROCESSING)
    entry = next(entry for entry in bundle.manifest.points if entry.point == VIDEO)
    held, sizes = None, []
    for at, frame in enumerate(shown):
        features = (bundle.preprocess(frame),)
        data, held = bundle.encode_next(VIDEO, features, StreamPosition(1, at + 1, at, 0.0), held)
        sizes.append(len(data))
    assert len(entry.next_bytes) == len(bundle.manifest.changes) - 1 >= 1
    assert max(entry.next_bytes) < entry.payload_bytes
    assert min(sizes[1:]) <= entry.next_bytes[0] <= max(sizes[1:])
    assert entry.payload_bytes == pytest.approx(sizes[0], rel=0.2)
    assert not any(one.next_bytes for one in bundle.manifest.points if one.point != VIDEO)


def test_its_accuracy_is_that_of_a_stream_and_not_of_refreshes(network):
    shown = frames(12)
    seen = []

    class Remember:
        name = "remember"

        def score(self, expected, given):
            seen.append([answer[0] for answer in given])
            return LabelAccuracy().score([(one[0].argmax(1),) for one in expected], given)

    bundle = build(
        network, IMAGE, Space(codecs=["h264@40"]), calibrate=[shown], preprocessing=PREPROCESSING, evaluate=Remember()
    )
    point = OperatingPoint("input", codec="h264@40")
    at = bundle.points.index(point)
    held = edge_held = None
    expected = []
    for number, frame in enumerate(shown):
        position = StreamPosition(1, number + 1, number, 0.0)
        data, held = bundle.encode_next(point, (bundle.preprocess(frame),), position, held)
        engine, carried, edge_held = bundle.receive(bundle.read(data), edge_held)
        expected.append(engine.run(carried)[0])
    assert np.array_equal(np.stack(seen[at]), np.stack(expected))


def test_without_clips_a_video_codec_refreshes(network):
    bundle = build(network, IMAGE, Space(codecs=["h264@28"]), calibrate=frames(4), preprocessing=PREPROCESSING)
    entry = next(entry for entry in bundle.manifest.points if entry.point == VIDEO)
    assert bundle.manifest.changes == (1.0,)
    assert entry.next_bytes == ()
    assert entry.payload_bytes > 100


@pytest.mark.parametrize("codec", ["h264@28", "jpeg@90"])
def test_a_codec_that_fits_nowhere_is_an_error(codec):
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    with pytest.raises(
        CodecError, match=rf"codec {codec} fits none of the split points .*input .float32 .*leave it out"
    ):
        build(net, (torch.rand(1, 4),), Space(splits=["1"], codecs=["raw", codec]))


def test_evenly_spaced():
    assert evenly_spaced(range(10), 3) == [0, 4, 8]
    assert evenly_spaced(range(2), 5) == [0, 1]


def test_every_point_of_a_segmenter_is_scored_by_its_label_maps():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 5, 3, 2, 1)).eval()
    space = Space(splits=["1"], codecs=["raw", "h264@20", "jpeg@90", "u4+zstd"])
    clips = [frames(6), frames(3)]
    for answer, shape in (("labels@32x32", (1, 32, 32)), (None, (1, 5, 8, 8))):
        bundle = build(net, IMAGE, space, calibrate=clips, preprocessing=PREPROCESSING, answer=answer)
        scores = {str(entry.point): entry.accuracy for entry in bundle.manifest.points}
        assert {score.metric for score in scores.values()} == {"iou"}
        assert {score.samples for score in scores.values()} == {9}
        assert scores["input/w1/fp32/raw"].value == scores["output/w1/fp32/raw"].value == 1.0
        assert 0 < scores["input/w1/fp32/h264@20"].value < 1
        assert bundle.run(VIDEO, (bundle.preprocess(clips[0][0]),))[0].shape == shape


def test_refreshes_count_where_only_an_evaluation_sends_them(network):
    labelled = [((np.stack([frame[:32, :32]]),), 1) for frame in frames(3)]
    bundle = build(network, IMAGE, Space(codecs=["h264@28"]), evaluate=top1(labelled), preprocessing=PREPROCESSING)
    entry = next(entry for entry in bundle.manifest.points if entry.point == VIDEO)
    assert entry.accuracy.metric == "top1"
    assert entry.payload_bytes > 200


def test_a_clip_is_never_held_at_the_cameras_size():
    large = np.zeros((1080, 1920, 3), np.uint8)
    alive = []

    class Counted:
        def __iter__(self):
            for _ in range(5):
                frame = large.copy()
                alive.append(weakref.ref(frame))
                yield frame
                del frame
                gc.collect()
                assert sum(one() is not None for one in alive) <= 1

    samples = Samples.read([Clip(Counted(), 25.0)], PREPROCESSING)
    assert len(samples.inputs) == 5


@pytest.mark.parametrize("preprocessing", [PREPROCESSING, None])
def test_a_clip_without_frames_is_refused(preprocessing):
    with pytest.raises(SourceError, match="a clip holds at least one frame; got none"):
        Samples.read([[]], preprocessing)


@pytest.mark.parametrize("form", [list, tuple, iter, np.stack, lambda given: Clip(given, 25.0), lambda _: None])
def test_a_profile_takes_frames_in_every_form(network, form):
    bundle = build(network, IMAGE, Space(codecs=["h264@28"]), calibrate=[frames(8)], preprocessing=PREPROCESSING)
    found = profile(bundle, frames=form(frames(8)), repetitions=2)
    assert len(found.next_costs[VIDEO]) == len(bundle.manifest.changes) - 1
