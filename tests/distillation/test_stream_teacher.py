"""Teaching on a stream: the terminal follows what its camera shows, update by update, and never half of one."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from adaedge.builder import Space, build  # noqa: E402
from adaedge.distillation import Lessons, SoftTargets, StreamTeacher  # noqa: E402
from adaedge.errors import TrainingError  # noqa: E402
from adaedge.operating_point import OperatingPoint  # noqa: E402
from adaedge.taught import TaughtNetwork, UpdateKey, fingerprint  # noqa: E402

KEY = UpdateKey("a secret of thirty-two characters")
SMALL, FULL = OperatingPoint("output", network="small"), OperatingPoint("output")
EXAMPLE = (torch.zeros(1, 8),)
LESSONS = Lessons(steps=40, rate=0.01, recent=40)


def networks():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 4)).eval()
    with torch.no_grad():
        net[0].weight *= 2
        net[2].weight *= 4
    return net, nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()


@pytest.fixture(scope="module")
def built():
    net, small = networks()
    return build(net, EXAMPLE, Space([], networks={"small": small}))


@pytest.fixture
def ends(built):
    bundle, (net, small) = built.with_threads(1), networks()
    return bundle, net, small, TaughtNetwork(bundle, "small", KEY)


def frames(count, seed, around=1.5):
    return around + 0.5 * torch.randn(count, 1, 8, generator=torch.Generator().manual_seed(seed))


def agreement(bundle, seed=9):
    seen = [tuple(one.numpy() for one in [frame]) for frame in frames(200, seed)]
    return np.mean([bundle.run(SMALL, one)[0].argmax() == bundle.run(FULL, one)[0].argmax() for one in seen])


def teach(teacher, net, count, seed=1):
    for frame in frames(count, seed):
        with torch.no_grad():
            teacher.label(frame, net(frame))


def test_a_terminal_follows_its_stream(ends):
    bundle, net, small, taught = ends
    teacher = StreamTeacher(bundle, "small", small, EXAMPLE, KEY, loss=SoftTargets(), lessons=LESSONS)
    alone, sent = agreement(bundle), 0
    for period in range(8):
        teach(teacher, net, 10, seed=period)
        data = teacher.update()
        if data is not None:
            taught.receive(data)
            sent += 1
            assert taught.version == teacher.version == sent
    assert sent >= 3
    assert teacher.labelled == 80
    assert agreement(bundle) > max(0.85, alone + 0.2)


def test_only_what_lies_after_the_split_point_changes(ends):
    bundle, net, small, taught = ends
    before = taught.weights
    teacher = StreamTeacher(bundle, "small", small, EXAMPLE, KEY, after="1", loss=SoftTargets(), lessons=LESSONS)
    teach(teacher, net, 10)
    taught.receive(teacher.update())
    changed = {name for name, array in taught.weights.items() if not np.array_equal(array, before[name])}
    assert changed == {"small/2.weight"}


def test_the_fraction_bounds_what_changes(ends):
    bundle, net, small, taught = ends
    before = taught.weights
    lessons = Lessons(steps=20, rate=0.01, fraction=0.1)
    teacher = StreamTeacher(bundle, "small", small, EXAMPLE, KEY, loss=SoftTargets(), lessons=lessons)
    teach(teacher, net, 10)
    taught.receive(teacher.update())
    moved = sum(int((array != before[name]).sum()) for name, array in taught.weights.items())
    total = sum(array.size for array in before.values())
    assert 0.05 * total <= moved <= 0.1 * total + 1


def test_an_update_that_gains_nothing_on_held_out_frames_is_not_sent(ends):
    bundle, net, small, _ = ends
    lessons = Lessons(steps=20, rate=0.01, held_out=2)
    teacher = StreamTeacher(bundle, "small", small, EXAMPLE, KEY, loss=SoftTargets(), lessons=lessons)
    for at, frame in enumerate(frames(20, 1)):
        with torch.no_grad():
            right = small(frame) if at % 2 else net(frame).roll(1)  # held out: what the terminal answers as it is
        teacher.label(frame, right)
    assert teacher.update() is None
    assert teacher.version == 0


def test_an_update_that_was_lost_is_made_again_upon_what_the_terminal_holds(ends):
    bundle, net, small, taught = ends
    lessons = replace(LESSONS, held_out=1000)  # nothing is held out, so each is sent
    teacher = StreamTeacher(bundle, "small", small, EXAMPLE, KEY, loss=SoftTargets(), lessons=lessons)
    teach(teacher, net, 10)
    taught.receive(teacher.update())
    teach(teacher, net, 10, seed=2)
    assert teacher.update() is not None
    teacher.lost()
    teach(teacher, net, 10, seed=3)
    data = teacher.update()
    assert taught.receive(data) == 3
    taught.roll_back()
    teacher.lost()
    teach(teacher, net, 10, seed=4)
    assert taught.receive(teacher.update()) == 4


def test_what_was_seen_before_the_stream_is_not_forgotten(ends):
    bundle, net, small, _ = ends
    twins = [copy.deepcopy(small) for _ in range(2)]
    losses = []
    past = frames(60, 5, around=-1.5)
    for student, remembers in zip(twins, (True, False), strict=True):
        teacher = StreamTeacher(bundle, "small", student, EXAMPLE, KEY, loss=SoftTargets(), lessons=LESSONS)
        with torch.no_grad():
            for frame in past if remembers else ():
                teacher.remember(frame, net(frame))
        for period in range(5):
            teach(teacher, net, 10, seed=period)
            teacher.update()
        with torch.no_grad():
            losses.append(SoftTargets()(student(past[:, 0]), net(past[:, 0])).item())
    assert losses[0] < 0.5 * losses[1]


def test_views_teach_beside_the_frame_and_repeat_draw_for_draw(ends):
    bundle, net, small, _ = ends
    made = []
    for _ in range(2):
        teacher = StreamTeacher(
            bundle, "small", copy.deepcopy(small), EXAMPLE, KEY, loss=SoftTargets(), lessons=LESSONS,
            views=lambda inputs, answer: [(inputs + 0.1, answer)],
        )  # fmt: skip
        teach(teacher, net, 10)
        made.append(teacher.update())
    assert made[0] == made[1]
    plain = StreamTeacher(bundle, "small", copy.deepcopy(small), EXAMPLE, KEY, loss=SoftTargets(), lessons=LESSONS)
    teach(plain, net, 10)
    assert plain.update() != made[0]


def test_what_cannot_be_taught_is_refused(ends):
    bundle, net, small, taught = ends
    with pytest.raises(TrainingError, match=r"weight '0.weight' is not the bundle's. Build"):
        StreamTeacher(bundle, "small", nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), EXAMPLE, KEY)
    with pytest.raises(TrainingError, match="none of the student's weights learns"):
        StreamTeacher(bundle, "small", small, EXAMPLE, KEY, after="output")
    with pytest.raises(TrainingError, match="hold out one frame in two or more"):
        Lessons(held_out=1)
    teacher = StreamTeacher(bundle, "small", small, EXAMPLE, KEY, loss=lambda a, b: (a - b).sum() * torch.inf)
    assert teacher.update() is None
    with pytest.raises(TrainingError, match="answer to a frame is not finite"):
        teacher.label(*EXAMPLE, torch.full((1, 4), torch.nan))
    teach(teacher, net, 3)
    held = fingerprint(taught.weights)
    with pytest.raises(TrainingError, match=r"the loss became .*The terminal's weights stand"):
        teacher.update()
    own = {f"small/{name}": each.detach().numpy() for name, each in small.named_parameters()}
    assert fingerprint({name: own[name] for name in taught.weights}) == held
