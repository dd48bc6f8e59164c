from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from adaedge.builder import Space, build
from adaedge.bundle import Preprocessing
from adaedge.operating_point import INPUT, OUTPUT, Cost, OperatingPoint, Profile
from adaedge.profiling import machine_name, profile, timing


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.stem(x).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def frames():
    values = np.random.default_rng(0)
    return [values.integers(256, size=(300, 400, 3), dtype=np.uint8) for _ in range(3)]


@pytest.fixture(scope="module")
def bundle(frames):
    torch.manual_seed(0)
    space = Space(splits=["stem"], codecs=["raw", "u4", "jpeg@80"])
    image = torch.zeros(1, 3, 64, 64)
    return build(Net().eval(), (image,), space, calibrate=frames, preprocessing=Preprocessing(size=(64, 64)))


def test_every_point_is_composed_of_the_same_parts(bundle):
    measured = profile(bundle, repetitions=3)
    assert set(measured) == set(bundle.points)
    raw, coded = measured[OperatingPoint("stem")], measured[OperatingPoint("stem", codec="u4")]
    assert (raw.head_s, raw.tail_s, raw.finish_s) == (coded.head_s, coded.tail_s, coded.finish_s)
    assert raw.tail_s == raw.finish_s > 0
    assert raw.encode_s > 0
    assert raw.decode_s > 0
    whole, local = measured[OperatingPoint(INPUT)], measured[OperatingPoint(OUTPUT)]
    assert whole.tail_s == whole.finish_s == local.head_s > 0
    assert whole.head_s == 0
    assert local == Cost(head_s=local.head_s, accuracy=1.0)


def test_bytes_and_accuracies_are_those_that_were_measured_when_it_was_built(bundle, frames):
    measured = profile(bundle, repetitions=1)
    for entry in bundle.manifest.points:
        assert measured[entry.point].payload_bytes == entry.payload_bytes
        assert measured[entry.point].accuracy == entry.accuracy.value
    inputs = (bundle.preprocess(frames[0]),)
    payload = bundle.encode(OperatingPoint("stem"), bundle.head("stem").run(inputs))
    assert measured[OperatingPoint("stem")].payload_bytes == len(payload)
    message, features = bundle.decode(payload)
    answer = bundle.encode_answer(message, bundle.tail("stem").run(features), edge_s=0.1)
    assert measured[OperatingPoint("stem")].answer_bytes == len(answer)


def test_resizing_the_cameras_frames_counts_as_part_of_every_head(bundle, frames):
    with_frames = profile(bundle, repetitions=3, frames=frames)
    assert with_frames[OperatingPoint(INPUT)].head_s > 0
    assert with_frames[OperatingPoint("stem")].head_s > with_frames[OperatingPoint(INPUT)].head_s


def test_an_accuracy_that_was_not_measured_never_passes_a_floor():
    unmeasured = build(nn.Linear(4, 3).eval(), (torch.zeros(1, 4),), Space())
    assert {cost.accuracy for cost in profile(unmeasured, repetitions=1).values()} == {None}


def test_the_order_is_random_but_every_part_is_run_equally_often(bundle, monkeypatch):
    ran = []
    monkeypatch.setattr(timing._Part, "time", lambda self, turn: ran.append(id(self)) or self.seconds.append(turn))
    profile(bundle, repetitions=4)
    counts = {part: ran.count(part) for part in ran}
    rounds = [tuple(ran[at : at + len(counts)]) for at in range(0, len(ran), len(counts))]
    assert set(counts.values()) == {4 + timing._WARM_UP}
    assert all(set(one) == set(counts) for one in rounds)
    assert len(set(rounds)) > 1


def test_the_warm_up_is_not_counted_and_the_median_is_taken(bundle, monkeypatch):
    seconds = [50.0, 60.0, 70.0, 1.0, 2.0, 9.0]
    monkeypatch.setattr(timing._Part, "time", lambda self, turn: self.seconds.append(seconds[turn]))
    assert profile(bundle, repetitions=3)[OperatingPoint(OUTPUT)].head_s == 2.0 + 2.0  # network, answer


def test_the_profile_names_the_bundle_and_the_machine_and_survives_json(bundle):
    calls = []
    measured = profile(bundle, repetitions=1, threads=2, progress=lambda *call: calls.append(call))
    assert measured.bundle == bundle.digest
    assert measured.terminal == measured.edge == machine_name(2)
    assert "2 threads, ONNX Runtime" in machine_name(2)
    assert "1 thread, ONNX Runtime" in machine_name(1)
    assert Profile.from_json(measured.to_json()) == measured
    assert Profile.join(measured, measured) == measured
    assert calls[0] == ("profile", 0, calls[-1][2])
    assert calls[-1][1] == calls[-1][2]


def test_inputs_that_are_not_images_are_made_up():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, 4)

        def forward(self, ids, scale):
            return self.table(ids).mean(1) * scale

    bundle = build(Tokens().eval(), (torch.tensor([[1, 2, 3]]), torch.ones(1, 1)), Space())
    assert profile(bundle, repetitions=1)[OperatingPoint(OUTPUT)].head_s > 0


def test_a_cautious_profile_takes_the_lower_end_of_an_interval(bundle):
    cautious = profile(bundle, repetitions=1, cautious=True)
    for entry in bundle.manifest.points:
        certain = entry.point.is_local  # it agrees with itself
        assert cautious[entry.point].accuracy == (1.0 if certain else entry.accuracy.low)
    assert cautious[OperatingPoint("stem")].accuracy < profile(bundle, repetitions=1)[OperatingPoint("stem")].accuracy


def test_every_part_of_every_level_is_timed_once(frames):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3)).eval()
    space = Space(["0"], (1.0, 0.5), ("fp32", "int8"), ("raw", "u4"))
    preprocessing = Preprocessing(size=(16, 16))
    bundle = build(net, (torch.zeros(1, 3, 16, 16),), space, calibrate=frames, preprocessing=preprocessing)
    parts = timing._parts(bundle, [(bundle.preprocess(frame),) for frame in frames])
    graphs = {path for path in parts if path.endswith(".onnx")}
    assert graphs == {path for path in bundle._files if path.endswith(".onnx")}
    assert len(parts) == len(graphs) + 2 * (1 + 2 * 2), (
        "raw at the input; two codecs at two widths, whatever the precision"
    )
    measured = profile(bundle, repetitions=2)
    for width in (1.0, 0.5):
        fp32, int8 = (measured[OperatingPoint("0", width, precision, "u4")] for precision in ("fp32", "int8"))
        assert fp32.head_s != int8.head_s
        assert (fp32.tail_s, fp32.encode_s, fp32.decode_s) == (int8.tail_s, int8.encode_s, int8.decode_s)
    assert measured[OperatingPoint("0", 1.0)].tail_s != measured[OperatingPoint("0", 0.5)].tail_s
