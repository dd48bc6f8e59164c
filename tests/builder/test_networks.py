"""Further networks in a bundle: what is built of each, under which names, and what is refused."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from adaedge.bottleneck import Bottleneck
from adaedge.builder import Space, build
from adaedge.bundle import Bundle, weights
from adaedge.bundle.manifest import WEIGHTS
from adaedge.errors import CodecError, LevelError, ModelError, SplitError
from adaedge.graph import Splittable
from adaedge.levels import Elastic
from adaedge.operating_point import FP32, Level, OperatingPoint

IMAGE = (torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0)),)


class Student(nn.Module):
    """One split point, `stem`, that the full network has not; its weights bear names of the full network's."""

    def __init__(self, classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.add_module("5", nn.Linear(8, classes))

    def forward(self, image):
        return getattr(self, "5")(self.stem(image).relu().mean((2, 3)))


class Named(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        return {"logits": self.net(image)}


def full_net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 4, stride=4), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(72, 5)).eval()


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(1)
    return {"full": full_net(), "student": Student().eval(), "twin": full_net()}


@pytest.fixture(scope="module")
def samples():
    values = np.random.default_rng(0)
    return [(values.standard_normal((1, 3, 12, 12)).astype(np.float32),) for _ in range(12)]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


def built_of(nets, samples, scratch):
    further = {name: net for name, net in nets.items() if name != "full"}
    space = Space(["1", "stem"], (1.0, 0.5), ("fp32", "int8"), ("u8", "bottleneck"), networks=further)
    return build(nets["full"], IMAGE, space, calibrate=samples, scratch=scratch)


@pytest.fixture(scope="module")
def bundle(nets, samples, scratch, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundles") / "b"
    built_of(nets, samples, scratch).save(path)
    return Bundle.load(path)


def levels_at(bundle, split):
    return {cut.level for cut in bundle.manifest.cuts if cut.split == split}


def test_each_network_is_built_where_it_has_the_split_point_and_at_width_1(bundle):
    both = ("fp32", "int8")
    of_full = {Level("full", width, precision) for width in (1.0, 0.5) for precision in both}
    further = {name: {Level(name, 1.0, precision) for precision in both} for name in ("student", "twin")}
    assert levels_at(bundle, "input") == {Level()}
    assert levels_at(bundle, "1") == of_full | further["twin"]
    assert levels_at(bundle, "stem") == further["student"]
    assert levels_at(bundle, "output") == of_full | further["student"] | further["twin"]
    assert all(entry.accuracy is not None for entry in bundle.manifest.points)


def test_every_point_answers_as_its_network_does(bundle, nets, samples):
    for point in bundle.points:
        if point.precision != FP32 or point.width != 1.0 or "bottleneck" in point.codec:
            continue
        for inputs in samples[:3]:
            with torch.no_grad():
                expected = nets[point.network](torch.from_numpy(inputs[0])).numpy()
            tolerance = 1e-5 if point.is_local else 0.05  # u8
            assert np.abs(bundle.run(point, inputs)[0] - expected).max() < tolerance * np.abs(expected).max(), point


def test_accuracy_is_agreement_with_the_full_network(bundle, nets, samples):
    images = torch.from_numpy(np.concatenate([inputs[0] for inputs in samples]))
    with torch.no_grad():
        classes = {name: net(images).argmax(1) for name, net in nets.items()}
    accuracy = {entry.point: entry.accuracy for entry in bundle.manifest.points}
    for name in ("student", "twin"):
        expected = (classes[name] == classes["full"]).double().mean().item()
        found = accuracy[OperatingPoint("output", network=name)]
        assert (found.metric, found.value) == ("agreement", pytest.approx(expected))


def test_names_of_files_and_weights_tell_the_network(bundle):
    for cut in bundle.manifest.cuts:
        name = cut.level.network
        halves = [half for half in (cut.head, cut.tail, cut.folded_tail) if half]
        paths = [half.graph for half in halves] + [cut.bottleneck] * (cut.bottleneck is not None)
        assert all(path.startswith(f"networks/{name}/") == (name != "full") for path in paths)
        if name == "student":
            assert all(weight.startswith("student/") for half in halves for weight in half.weights)
    held = [cut.bottleneck for cut in bundle.manifest.cuts if cut.split in ("1", "stem")]
    assert len({*held}) == 4  # of the full network's two widths, of the student and of the twin
    assert None not in held


def test_what_is_kept_of_a_build_gives_the_same_bundle(bundle, nets, samples, scratch):
    assert built_of(nets, samples, scratch).digest == bundle.digest


def test_a_twin_shares_all_but_its_name(samples, tmp_path):
    """And a bottleneck of the user's is the full network's alone."""
    net, twin = full_net(), full_net()
    images = [tuple(map(torch.from_numpy, inputs)) for inputs in samples]
    own = Bottleneck.fit(Splittable(net, IMAGE), (), split="1", images=images)
    space = Space(["1", "3"], codecs=["raw", own], networks={"the-twin": twin})
    bundle = build(net, IMAGE, space, calibrate=samples, scratch=tmp_path)
    assert [name for name in weights.views(bundle._files[WEIGHTS]) if "twin" in name] == []
    sizes = {point: entry.payload_bytes for point, entry in zip(bundle.points, bundle.manifest.points, strict=True)}
    for split in ("1", "3"):
        raw, of_twin = (OperatingPoint(split, network=name) for name in ("full", "the-twin"))
        assert sizes[of_twin] == sizes[raw] + 1 + len(
            "the-twin"
        )  # a payload's header names a network that is not the full one
    codecs = {(point.network, point.codec.partition("@")[0]) for point in bundle.points if point.split == "1"}
    assert codecs == {("full", "raw"), ("full", "bottleneck"), ("the-twin", "raw")}
    with pytest.raises(CodecError, match=r"network 'twin': none of the codecs .* can carry what crosses at '1'"):
        build(net, IMAGE, Space(["1"], codecs=[own], networks={"twin": twin}), calibrate=samples)


def test_splits_that_are_chosen_are_chosen_for_each_network(nets):
    space = Space(None, codecs=None, networks={"student": nets["student"]})
    bundle = build(nets["full"], IMAGE, space)
    inner = {(point.network, point.split) for point in bundle.points if point.split not in ("input", "output")}
    assert ("student", "stem") in inner
    assert {network for network, _ in inner} == {"full", "student"}


def test_a_split_point_that_no_network_has_is_refused(nets):
    space = Space(["stem", "sten"], networks={"student": nets["student"]})
    with pytest.raises(SplitError, match=r"no split point 'sten'; nearest: "):
        build(nets["full"], IMAGE, space)


REFUSED = {
    "another number of classes": (lambda: Student(3), r"'s' answers float32 \(1, 3\) .* answers float32 \(1, 5\)"),
    "another structure": (
        lambda: Named(Student()),
        r"as \{'dict': \[\['logits', 0\]\]\}; the full network answers .* as 0",
    ),
    "another type": (lambda: nn.Sequential(Student(), Double()), r"answers float64 \(1, 5\)"),
    "other inputs": (lambda: nn.Linear(5, 5), r"'s' does not take the example \(RuntimeError: .*same inputs: wrap it"),
}


class Double(nn.Module):
    def forward(self, x):
        return x.double()


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_a_network_of_another_form_is_refused(make, words):
    with pytest.raises(ModelError, match=words):
        build(full_net(), IMAGE, Space(networks={"s": make().eval()}))


def test_checking_a_network_leaves_it_as_it_was():
    net = nn.Sequential(Student(), nn.Dropout(0.5), nn.BatchNorm1d(5)).train()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ModelError):
        build(full_net(), IMAGE, Space(networks={"s": nn.Sequential(net, Double())}))
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("name", ["full", "", "a/b", "..", "incremental", "a b", "x" * 65, 3, "étudiant", "a\n"])
def test_a_name_that_no_network_may_have_is_refused(name):
    with pytest.raises(LevelError, match=r"network|incremental"):
        Space(networks={name: nn.Identity()})


def test_what_is_no_network_is_refused():
    with pytest.raises(LevelError, match=r"networks maps names to modules, such as \{'student': net\}; got a list"):
        Space(networks=[nn.Identity()])
    with pytest.raises(LevelError, match=r"the network 's' is a torch\.nn\.Module; got a function"):
        Space(networks={"s": full_net})
    with pytest.raises(LevelError, match=r"'s' is an Elastic.* width 1 only\. Give `elastic\.extract\(width\)`"):
        Space(networks={"s": Elastic(full_net(), IMAGE, (1.0, 0.5))})


def test_a_space_holds_the_ends_of_the_full_network_and_what_is_named():
    space = Space(["a"], (0.5,), ("int8",), networks={"s": nn.Identity()})
    assert space.holds("input", Level())
    assert space.holds("output", Level())
    assert not space.holds("a", Level())
    assert space.holds("a", Level(width=0.5, precision="int8"))
    own = space.of("s")
    assert own.widths == (1.0,)
    assert not own.holds("input", Level("s"))
    assert not own.holds("output", Level("s"))
    assert own.holds("output", Level("s", precision="int8"))
    assert math.isclose(own.of("full").widths[0], 1.0)
    assert {space, Space(["a"], (0.5,), ("int8",))}  # hashable
