"""The laws of splitting, on small networks."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.errors import CaptureError, SplitError
from adaedge.graph import Splittable
from adaedge.graph.costs import counter

spec = importlib.util.spec_from_file_location("small_nets", Path(__file__).parent / "small_nets.py")
nets = sys.modules["small_nets"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nets)

NAMES = [entry.name for entry in nets.cases()]


def same(got, expected):
    leaves, structure = pytree.tree_flatten(got)
    wanted, wanted_structure = pytree.tree_flatten(expected)
    assert structure == wanted_structure
    for one, other in zip(leaves, wanted, strict=True):
        assert torch.equal(one, other) if isinstance(other, torch.Tensor) else one == other


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("example", [1, 2])
def test_every_cut_is_exact_at_any_batch(name, example):
    entry = nets.case(name, example)
    split = Splittable(entry.net, entry.args, entry.kwargs)
    assert split.obstacle is None
    assert split.dynamic
    for batch in (1, 2, 5):
        other = nets.case(name, batch)
        for point in split.points:
            head, tail = split.at(point.name)
            features = head(*other.args, **other.kwargs)
            same(tail(*features), entry.net(*other.args, **other.kwargs))
            if batch == example or not split.dynamic:
                assert tuple(tuple(f.shape) for f in features) == tuple(t.shape for t in point.crossing)
                assert sum(f.nbytes for f in features) == point.payload_bytes


@pytest.mark.parametrize("name", NAMES)
def test_static_capture_is_exact_and_refuses_another_batch(name):
    entry = nets.case(name, 1)
    split = Splittable(entry.net, entry.args, entry.kwargs, dynamic=False)
    assert not split.dynamic
    for point in split.points:
        head, tail = split.at(point.name)
        same(tail(*head(*entry.args, **entry.kwargs)), entry.net(*entry.args, **entry.kwargs))
    other = nets.case(name, 3)
    with pytest.raises(SplitError, match=r"an input of shape \(1, .*\) was captured; this call has \(3,"):
        split.at("input")[0](*other.args, **other.kwargs)


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 7), place=st.integers(0, 1000), seed=st.integers(0, 2**31))
def test_any_batch_any_values_any_cut(batch, place, seed):
    split = shared_split()
    x = torch.randn(batch, 3, 4, generator=torch.Generator().manual_seed(seed))
    head, tail = split.at(split.points[place % len(split.points)].name)
    same(tail(*head(x)), split(x))


_SHARED = []


def shared_split():
    if not _SHARED:
        entry = nets.case("folding")
        _SHARED.append(Splittable(entry.net, entry.args))
    return _SHARED[0]


def test_forward_is_the_models_own():
    entry = nets.case("structured")
    split = Splittable(entry.net, entry.args, entry.kwargs)
    same(split(*entry.args, **entry.kwargs), entry.net(*entry.args, **entry.kwargs))


def test_points_run_from_input_to_output_with_unique_names():
    for entry in nets.cases():
        points = Splittable(entry.net, entry.args, entry.kwargs).points
        names = [point.name for point in points]
        assert (names[0], names[-1]) == ("input", "output")
        assert len({*names}) == len(names)
        macs = [point.head_macs for point in points]
        assert macs == sorted(macs)
        assert len({point.head_macs + point.tail_macs for point in points}) == 1
        assert macs[0] == points[-1].tail_macs == 0


def test_names_are_module_paths_calls_and_operators():
    entry = nets.case("residual")
    split = Splittable(entry.net, entry.args)
    names = [point.name for point in split.points]
    assert names == [
        "input", "stem.0", "stem.1", "stem", "left", "act", "right", ":sigmoid", ":mul", ":add", "act@1",
        ":mul_1", "act@2", ":mean", "output",
    ]  # fmt: skip
    assert split.point("stem").aliases == ("stem.2",)
    assert split.point("stem.2") is split.point("stem")
    assert split.point("fc").name == "output"
    assert [len(point.crossing) for point in split.points] == [1, 1, 1, 1, 2, 2, 3, 3, 2, 1, 1, 1, 1, 1, 1]


def test_names_of_modules_do_not_depend_on_the_kind_of_capture():
    for entry in nets.cases():
        dynamic, static = (Splittable(entry.net, entry.args, entry.kwargs, dynamic=flag) for flag in (True, False))
        crossing = [{p.name: p.crossing for p in s.points[1:] if ":" not in p.name} for s in (dynamic, static)]
        assert crossing[0] == crossing[1]


def test_macs_are_those_of_the_formulas():
    entry = nets.case("residual", batch=1)
    split = Splittable(entry.net, entry.args)
    pixels = 8 * 8
    assert split.point("stem.0").head_macs == pixels * 3 * 4 * 9
    assert split.point("left").head_macs - split.point("stem").head_macs == pixels * 4 * 4 * 9
    assert split.point("right").head_macs - split.point("act").head_macs == pixels * 4 * 4
    assert split.point("output").head_macs - split.point(":mean").head_macs == 4 * 5
    entry = nets.case("attention", batch=1)
    split = Splittable(entry.net, entry.args)
    scores_and_values = 2 * (2 * 5 * 5 * 4)
    assert split.points[-1].head_macs == 5 * 8 * 24 + scores_and_values + 5 * 8 * 8


@pytest.mark.parametrize(
    ("options", "macs"),
    [
        # Four gates of 6 meet the layer's input and its state, at 5 steps.
        ({}, 5 * (24 * (4 + 6) + 24 * (6 + 6))),
        ({"bias": False}, 2640),
        ({"bidirectional": True}, 5 * 2 * (24 * (4 + 6) + 24 * (12 + 6))),
        ({"proj_size": 3}, 5 * (24 * (4 + 3) + 6 * 3 + 24 * (3 + 3) + 6 * 3)),
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_macs_of_a_recurrent_layer_are_those_of_its_matrices(options, macs, inference):
    net, x = nn.LSTM(4, 6, 2, batch_first=True, **options).eval(), torch.rand(1, 5, 4)
    assert Splittable(net, (x,)).points[-1].head_macs == macs
    with torch.inference_mode(inference), counter() as flops:
        net(x)
    assert flops.get_total_flops() == 2 * macs


def test_channel_axes_follow_permutations():
    entry = nets.case("attention")
    split = Splittable(entry.net, entry.args)
    assert split.point("qkv").crossing[1].axis == 2
    assert [point.name for point in split.points if "unbind" in point.name] == [":unbind_2"]
    assert split.point("input").crossing[0].axis is None
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2), nn.ReLU()).eval()
    assert Splittable(net, (torch.rand(2, 3, 5, 5),)).point("1").crossing[0].axis == 1
    assert [t.axis for t in Splittable(Transposed(), (torch.rand(2, 3, 5, 5),)).point(":permute").crossing] == [3]


class Transposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x).permute(0, 2, 3, 1) * 2


def test_random_values_are_drawn_once():
    net, x = nets.Random().eval(), torch.ones(2, 4)
    split = Splittable(net, (x,))
    torch.manual_seed(1)
    expected = net(x)
    for name in ("a", "b", "output"):
        head, tail = split.at(name)
        torch.manual_seed(1)
        features = head(x)
        torch.manual_seed(2)
        same(tail(*features), expected)


def test_parameters_are_shared_and_gradients_flow():
    entry = nets.case("residual")
    split = Splittable(entry.net, entry.args)
    own = {id(parameter) for parameter in entry.net.parameters()}
    for point in split.points:
        head, tail = split.at(point.name)
        halves = [*head.parameters(), *tail.parameters()]
        assert {id(parameter) for parameter in halves} == own
        entry.net.zero_grad()
        tail(*head(*entry.args)).sum().backward()
        got = [parameter.grad.clone() for parameter in entry.net.parameters()]
        entry.net.zero_grad()
        entry.net(*entry.args).sum().backward()
        for one, other in zip(got, entry.net.parameters(), strict=True):
            torch.testing.assert_close(one, other.grad)


def test_a_changed_weight_changes_the_halves():
    entry = nets.case("residual")
    split = Splittable(entry.net, entry.args)
    head, tail = split.at("stem")
    with torch.no_grad():
        entry.net.fc.bias.add_(1)
        entry.net.stem[1].running_mean.add_(1)
    same(tail(*head(*entry.args)), entry.net(*entry.args))


def test_neither_inputs_nor_features_are_written_to():
    entry = nets.case("residual")
    split = Splittable(entry.net, entry.args)
    for point in split.points:
        head, tail = split.at(point.name)
        before = entry.args[0].clone()
        features = head(*entry.args)
        copies = [feature.clone() for feature in features]
        tail(*features)
        same(list(features), copies)
        same(entry.args[0], before)


def test_nothing_of_the_callers_is_changed():
    entry = nets.case("residual")
    net = entry.net.train()
    net.stem.eval()
    modes = [module.training for module in net.modules()]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    attributes = {name: set(vars(module)) for name, module in net.named_modules()}
    example, random = entry.args[0].clone(), torch.get_rng_state()
    Splittable(net, entry.args)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert {name: set(vars(module)) for name, module in net.named_modules()} == attributes
    assert torch.equal(example, entry.args[0])
    assert torch.equal(random, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_tap_returns_outputs_then_crossing_tensors():
    entry = nets.case("structured")
    split = Splittable(entry.net, entry.args, entry.kwargs)
    inner = next(point.name for point in split.points if len(point.crossing) > 1)
    with torch.no_grad():
        got = split.tap(["input", inner, "output"])(*entry.args, **entry.kwargs)
        outputs = [leaf for leaf in pytree.tree_leaves(entry.net(*entry.args, **entry.kwargs)) if torch.is_tensor(leaf)]
        crossing = [f for name in ("input", inner, "output") for f in split.at(name)[0](*entry.args, **entry.kwargs)]
    same(list(got), outputs + crossing)


def test_unknown_names_are_refused_with_the_nearest():
    split = shared_split()
    with pytest.raises(SplitError, match=r"no split point 'iner'; nearest: inner, .*List all with `split.points`"):
        split.at("iner")


def test_wrong_features_are_refused():
    entry = nets.case("residual")
    _, tail = Splittable(entry.net, entry.args).at("left")
    with pytest.raises(SplitError, match=r"2 tensors cross 'left'; the tail was given 1"):
        tail(torch.rand(2, 4, 8, 8))
    with pytest.raises(SplitError, match=r"tensor 1 that crosses 'left' has shape \(N, 4, 8, 8\); .* \(2, 4, 8, 9\)"):
        tail(torch.rand(2, 4, 8, 8), torch.rand(2, 4, 8, 9))
    with pytest.raises(SplitError, match=r"the tail was given list"):
        tail(torch.rand(2, 4, 8, 8), [1])


def test_a_call_unlike_the_example_is_refused():
    entry = nets.case("structured")
    head, _ = Splittable(entry.net, entry.args, entry.kwargs).at("first")
    with pytest.raises(SplitError, match=r"captured with args .* this call has args"):
        head(*entry.args)
    with pytest.raises(SplitError, match=r"captured with the constant 0\.5; this call has 0\.7"):
        head(*entry.args, **entry.kwargs | {"gain": 0.7})
    with pytest.raises(SplitError, match=r"shape \(N, 4\) was captured; this call has \(2, 5\)"):
        head(torch.rand(2, 5), entry.args[1], **entry.kwargs)
    swapped = dict(reversed(entry.kwargs.items()))
    assert len(head(*entry.args, **swapped)) == len(head(*entry.args, **entry.kwargs))


def test_a_tensor_in_place_of_the_arguments_is_refused():
    expected = r"args is a tuple of the model's arguments, such as \(image,\); got a tensor of shape \(1, 4\)"
    with pytest.raises(SplitError, match=expected):
        Splittable(nn.Sequential(nn.Linear(4, 4)), torch.rand(1, 4))


class Branching(nn.Module):
    """What it computes depends on values, which no trace can follow."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        return {"y": self.fc(x) if x.sum() > 0 else x, "n": 3}


def test_without_a_capture_only_the_ends_remain():
    net, x = Branching().eval(), torch.rand(2, 3)
    with pytest.warns(UserWarning, match=r"cannot capture Branching.*Only `input` and `output`"):
        split = Splittable(net, (x,))
    assert isinstance(split.obstacle, CaptureError)
    assert [point.name for point in split.points] == ["input", "output"]
    assert [point.head_macs for point in split.points] == [0, 18]
    for name in ("input", "output"):
        head, tail = split.at(name)
        for batch in (x, -x, torch.rand(5, 3)):
            same(tail(*head(batch)), net(batch))
    same(list(split.tap(["input", "output"])(x)), [net(x)["y"], x, net(x)["y"]])
    with pytest.raises(SplitError, match=r"only be split at `input` and `output`, because .*cannot capture Branching"):
        split.at("fc")


class Returning(nn.Module):
    """Returns an input that it has written to."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x.mul_(2)), x


def test_an_input_that_was_written_to_can_be_returned():
    net, x = Returning().eval(), torch.rand(2, 4)
    split = Splittable(net, (x,))
    assert split.obstacle is None
    for point in split.points:
        head, tail = split.at(point.name)
        given = x.clone()
        same(tail(*head(given)), net(x.clone()))
        same(given, x)


class Selecting(nn.Module):
    """As many values as the input decides."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x)[x > 0.5]


def test_an_index_of_tensors_is_no_list_of_dimensions():
    net, x = Selecting().eval(), torch.tensor([[0.1, 0.6, 0.7, 0.2]])
    split = Splittable(net, (x,))
    assert split.obstacle is None
    assert split.point("fc").head_macs == 16
    for point in split.points:
        head, tail = split.at(point.name)
        for values in (x, 1 - x, torch.zeros(1, 4)):
            same(tail(*head(values)), net(values))


@pytest.mark.parametrize("step", ["capture.analyse", "plan.channel_axes"])
def test_whatever_goes_wrong_in_the_analysis_leaves_the_ends(monkeypatch, step):
    def unforeseen(*_):
        raise TypeError("something new\nand more")

    monkeypatch.setattr(f"adaedge.graph.{step}", unforeseen)
    net, x = nn.Linear(4, 4).eval(), torch.rand(2, 4)
    with pytest.warns(UserWarning, match=r"TypeError: something new\. Only `input` and `output`"):
        split = Splittable(net, (x,))
    assert isinstance(split.obstacle, CaptureError)
    head, tail = split.at("output")
    same(tail(*head(x)), net(x))


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * 2


def test_a_model_that_writes_its_buffers_is_not_captured():
    with pytest.warns(UserWarning, match=r"writes to its buffer calls in evaluation.*Give the state as an input"):
        split = Splittable(Counting(), (torch.rand(1, 2),))
    assert split.obstacle is not None


def test_without_a_capture_the_ends_evaluate_too():
    net, x = nn.Sequential(Branching(), Second(), nn.Dropout(0.5)), torch.rand(4, 3)
    with pytest.warns(UserWarning, match=r"Only `input` and `output`"):
        split = Splittable(net, (x,))
    net[0].eval()
    modes = [module.training for module in net.modules()]
    for point in split.points:
        head, tail = split.at(point.name)
        same(tail(*head(x)), net[1](net[0](x)))
        same(split.tap([point.name])(x)[0], net[1](net[0](x)))
    assert [module.training for module in net.modules()] == modes


class Second(nn.Module):
    def forward(self, found):
        return found["y"]


class Remembering(nn.Module):
    """Writes to one buffer, puts another tensor in the place of a second."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("last", torch.zeros(2))
        self.fc = nn.Linear(2, 2)

    def forward(self, x):
        self.count += 1
        self.last = x.detach()[0]
        return self.fc(x) * self.count


def test_a_refused_capture_leaves_the_buffers():
    net = Remembering()
    count, last = net.count, net.last
    with pytest.warns(UserWarning, match=r"Only `input` and `output`"):
        Splittable(net, (torch.rand(1, 2),))
    assert net.count is count
    assert net.last is last
    assert count.item() == 0
    assert last.tolist() == [0, 0]


def test_a_place_where_the_batch_is_lost_is_no_split_point():
    entry = nets.case("sizes")
    dynamic, static = (Splittable(entry.net, entry.args, dynamic=flag) for flag in (True, False))
    assert [point.name for point in dynamic.points] == ["input", "a", ":expand", "output"]
    assert {":mean", ":sin", ":cos"} < {point.name for point in static.points}
    assert len(dynamic.point("input").crossing) == 2


class Pretending(nn.Module):
    """Shows a trace something else than it computes, which agrees at 0.5 only."""

    def forward(self, x):
        return x * 0.5 if torch.compiler.is_exporting() else x * x


def test_a_wrong_capture_is_noticed_on_a_second_input():
    with pytest.warns(UserWarning, match=r"capture of Pretending differs from the model on a second input at batch 1"):
        split = Splittable(Pretending(), (torch.full((1, 3), 0.5),))
    assert split.obstacle is not None


class Specialised(nn.Module):
    """Right at the example's batch, another path at any other."""

    def forward(self, x):
        return torch.stack([row * (at + 1) for at, row in enumerate(x)])


def test_a_batch_that_was_specialised_is_captured_at_the_examples():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split = Splittable(Specialised(), (torch.rand(3, 2),))
    assert split.obstacle is None
    assert not split.dynamic
    head, tail = split.at(split.points[2].name)
    x = torch.rand(3, 2)
    same(tail(*head(x)), split(x))
