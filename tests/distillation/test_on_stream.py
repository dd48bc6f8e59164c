"""A stream that is taught: what crosses is counted, an update runs when it has arrived, and the student follows."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from adaedge.builder import Space, build  # noqa: E402
from adaedge.distillation import Lessons, Pace, SoftTargets, StreamTeacher, teach  # noqa: E402
from adaedge.errors import TrainingError  # noqa: E402
from adaedge.metrics import Agreement  # noqa: E402
from adaedge.operating_point import OperatingPoint  # noqa: E402
from adaedge.taught import Gate, TaughtNetwork, UpdateKey  # noqa: E402

KEY, EXAMPLE = UpdateKey("a secret of thirty-two characters"), (torch.zeros(1, 8),)
PACE = Pace(labels_per_s=2.0, period_s=2.0, delay_s=1.0, codec="raw")


@pytest.fixture(scope="module")
def built():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 4)).eval()
    small = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    weights = {name: value.clone() for name, value in small.state_dict().items()}
    return build(net, EXAMPLE, Space([], networks={"small": small})), small, weights


def run(built, frames, pace=PACE, gate=None, **lessons):
    bundle, small, weights = built
    small.load_state_dict(weights)
    bundle = bundle.with_threads(1)
    made = Lessons(**{"steps": 40, "rate": 0.01, "held_out": 1000} | lessons)
    teacher = StreamTeacher(bundle, "small", small, EXAMPLE, KEY, loss=SoftTargets(), lessons=made)
    taught = TaughtNetwork(bundle, "small", KEY)
    return bundle, teach(bundle, taught, teacher, frames, 10.0, pace=pace, gate=gate)


def frames(count=300):
    return [(frame,) for frame in 1.5 + np.random.default_rng(0).standard_normal((count, 1, 8)).astype(np.float32)]


def right(bundle, seen):
    full = OperatingPoint("output")
    pairs = zip(frames(), seen.frames, strict=True)
    return [frame.answer[0].argmax() == bundle.run(full, one)[0].argmax() for one, frame in pairs]


def test_the_student_follows_and_an_update_runs_when_it_has_arrived(built):
    gate = Gate(Agreement(), 0.8, window=6)
    bundle, seen = run(built, frames(), gate=gate)
    good = right(bundle, seen)
    assert np.mean(good[-100:]) > max(0.85, np.mean(good[:30]) + 0.1)
    assert [frame.at_s for frame in seen.frames if frame.label_bytes] == [each / 2 for each in range(60)]
    changed = [frame.at_s for frame in seen.frames if frame.update_bytes]
    assert changed == [float(each) for each in range(3, 30, 2)]  # made at 2, 4, …; there a second later
    assert [seen.frames[at].version for at in (29, 30, 49, 50)] == [0, 1, 1, 2]
    assert not seen.frames[0].may_answer
    opened = [frame.may_answer for frame in seen.frames]
    assert np.mean(opened[-100:]) > np.mean(opened[:50])


def test_bits_a_second_are_those_that_crossed(built):
    _, seen = run(built, frames(100))
    assert seen.up_bps == 8 * sum(frame.label_bytes for frame in seen.frames) / 10.0
    assert seen.down_bps == 8 * sum(frame.update_bytes for frame in seen.frames) / 10.0
    assert seen.up_bps > 2 * 8 * 32  # two frames of eight floats a second, and their headers


def test_a_pace_that_never_updates_leaves_the_student_alone(built):
    bundle, seen = run(built, frames(60), pace=Pace(period_s=1e9, codec="raw"))
    assert {frame.version for frame in seen.frames} == {0}
    assert seen.down_bps == 0
    own = bundle.run(OperatingPoint("output", network="small"), frames(1)[0])
    np.testing.assert_array_equal(seen.frames[0].answer[0], own[0])


def test_what_gains_nothing_is_held_back_and_counted(built):
    _, seen = run(built, frames(100), held_out=2, rate=10.0)
    assert seen.held_back == 4
    assert seen.down_bps == 0


def test_what_cannot_be_played_is_refused(built):
    with pytest.raises(TrainingError, match="the stream holds no frames"):
        run(built, [])
    with pytest.raises(TrainingError, match="0 ≤ delay_s ≤ period_s"):
        Pace(period_s=1.0, delay_s=2.0)
    with pytest.raises(TrainingError, match="more than 0 times a second"):
        Pace(labels_per_s=0.0)
