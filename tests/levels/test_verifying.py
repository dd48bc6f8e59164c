"""Law 3 is checked group by group; here are mistakes that a check could miss, planted one at a time."""

import copy
from dataclasses import replace

import pytest
import torch
from timm.layers import Attention
from torch import nn

from adaedge.levels.channel_groups import ChannelGroup, Member
from adaedge.levels.group_search import find
from adaedge.levels.verification import perturbed, verified


class Block(nn.Module):
    """An attention and a perceptron on a residual stream, behind an output that a constant dominates."""

    def __init__(self, constant=0.0):
        super().__init__()
        self.norm = nn.LayerNorm(32)
        self.attn = Attention(32, num_heads=4, qkv_bias=True)
        self.fc1, self.fc2 = nn.Linear(32, 24), nn.Linear(24, 32)
        self.head = nn.Linear(32, 5)
        self.constant = constant

    def forward(self, x):
        x = x + self.attn(self.norm(x))
        x = x + self.fc2(nn.functional.gelu(self.fc1(x)))
        return self.head(x) + self.constant


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.Conv2d(12, 4, 3)

    def forward(self, x):
        return self.two(torch.relu(self.norm(self.one(x)))).mean((2, 3))


def block(constant=0.0, scale=1.0):
    torch.manual_seed(0)
    net = Block(constant).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(scale)
    return net


def tokens():
    return (torch.rand(2, 6, 32, generator=torch.Generator().manual_seed(1)),)


def group_of(net, args, name):
    groups, _ = find(copy.deepcopy(net), args, {})
    return next(group for group in groups if group.name == name)


def planted(group, tensor, change, dim=None):
    """The group with another labelling of one of its members."""
    hit = [member for member in group.members if member.tensor == tensor and dim in (None, member.dim)]
    assert len(hit) == 1
    members = tuple(replace(m, channels=change(m.channels)) if m is hit[0] else m for m in group.members)
    return replace(group, members=members)


def rolled(start, stop, by):
    def change(channels):
        channels = channels.clone()
        channels[start:stop] = channels[start:stop].roll(by)
        return channels

    return change


def swapped(one, other):
    def change(channels):
        return torch.where(channels == one, other, torch.where(channels == other, one, channels))

    return change


NETS = {
    "plain": {},
    "dominated by a constant": {"constant": 1e7},
    "of small weights": {"scale": 0.1},
}


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("name", ["attn", "fc1"])
def test_a_right_group_passes(kind, name):
    net = block(**NETS[kind])
    right, skipped = verified(net, [group_of(net, tokens(), name)], tokens(), {})
    assert [group.name for group in right] == [name]
    assert not skipped


BUGS = {
    "keys of the next head": ("attn", "attn.qkv.weight", rolled(32, 64, 8)),
    "queries of the next head": ("attn", "attn.qkv.weight", rolled(0, 32, 8)),
    "values and keys of one head each swapped": ("attn", "attn.qkv.weight", rolled(32, 96, 32 + 8)),
    "one row too far": ("attn", "attn.qkv.weight", rolled(0, 32, 1)),
    "bias of the next head": ("attn", "attn.qkv.bias", rolled(0, 32, 8)),
    "reader of the next head": ("attn", "attn.proj.weight", rolled(0, 32, 8)),
    "two channels swapped where they are read": ("fc1", "fc2.weight", swapped(3, 7)),
    "two channels swapped in a bias": ("fc1", "fc1.bias", swapped(3, 7)),
}


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("bug", BUGS)
def test_a_mistake_in_one_tensor_is_seen(kind, bug):
    name, tensor, change = BUGS[bug]
    net = block(**NETS[kind])
    with torch.no_grad():
        net.fc1.bias.zero_()  # as many networks begin: equal values hide an order
        net.attn.qkv.bias.zero_()
    right, skipped = verified(net, [planted(group_of(net, tokens(), name), tensor, change)], tokens(), {})
    assert not right
    assert "differs from the zero-masked one" in skipped[name] or "does not run" in skipped[name]


@pytest.mark.parametrize("tensor", ["norm.running_mean", "norm.running_var", "norm.weight", "norm.bias"])
def test_a_mistake_in_a_batch_norm_as_created_is_seen(tensor):
    torch.manual_seed(0)
    net, args = Convolutions().eval(), (torch.rand(1, 3, 12, 12),)
    group = group_of(net, args, "one")
    assert verified(net, [group], args, {})[0]
    right, skipped = verified(net, [planted(group, tensor, swapped(0, 5))], args, {})
    assert not right
    assert "differs from the zero-masked one" in skipped["one"]


def test_a_member_that_is_missing_is_seen():
    net = block()
    group = group_of(net, tokens(), "fc1")
    missing = replace(group, members=tuple(m for m in group.members if m.tensor != "fc2.weight"))
    _, skipped = verified(net, [missing], tokens(), {})
    assert "the narrower network does not run" in skipped["fc1"]


def test_a_scale_that_follows_the_width_is_seen():
    """Fused attention divides by the root of the width it sees: it must be told to keep the full one."""
    torch.manual_seed(0)
    net = nn.Sequential(Attention(24, num_heads=2)).eval()
    args = (torch.rand(1, 5, 24),)
    group = group_of(net, args, "0")
    assert group.size == 12
    assert verified(net, [group], args, {})[0]
    assert not verified(net, [replace(group, settings=())], args, {})[0]


def test_a_network_in_single_precision_only_is_checked_in_it():
    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            return self.two(torch.relu(self.one(x.float())))

    torch.manual_seed(0)
    net, args = Single().eval(), (torch.rand(2, 8),)
    group = group_of(net, args, "one")
    assert verified(net, [group], args, {})[0]
    assert not verified(net, [planted(group, "one.bias", swapped(0, 9))], args, {})[0]


def test_a_network_that_takes_no_random_inputs_is_checked_on_the_example():
    class Choosy(nn.Module):
        """Takes sorted numbers only."""

        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            if not torch.equal(x, x.sort().values):
                raise ValueError("out of order")
            return self.two(torch.relu(self.one(x)))

    torch.manual_seed(0)
    net, args = Choosy().eval(), (torch.rand(2, 8).sort().values,)
    group = group_of(net, args, "one")
    assert verified(net, [group], args, {})[0]
    assert not verified(net, [planted(group, "one.bias", swapped(0, 9))], args, {})[0]


@pytest.mark.parametrize("alive", range(4))
def test_dead_channels_do_not_hide_one_that_lives(alive):
    torch.manual_seed(0)
    net, args = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3)).eval(), (torch.rand(2, 8),)
    with torch.no_grad():
        net[0].bias.fill_(-100)
        net[0].bias[alive] = 100
    right, skipped = verified(net, [group_of(net, args, "0")], args, {})
    assert [group.name for group in right] == ["0"], skipped


def test_a_group_beyond_its_tensor_is_left_out():
    net = block()
    each = torch.arange(33)
    _, skipped = verified(net, [ChannelGroup("fc1", 33, (Member("fc1.weight", 1, each, each),))], tokens(), {})
    assert skipped == {"fc1": "its channels run beyond fc1.weight"}


def test_what_no_output_shows_is_kept_whole():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.used = nn.Linear(8, 16), nn.Linear(16, 3), nn.Linear(8, 3)

        def forward(self, x):
            return self.used(x) + 0.0 * self.two(self.one(x))

    net, args = Unused().eval(), (torch.rand(2, 8),)
    _, skipped = verified(net, [group_of(net, args, "one")], args, {})
    assert skipped == {"one": "without it the output is the same, so that no slice of it can be verified"}


def test_a_second_group_over_the_same_channels_is_left_out():
    net = block()
    group = group_of(net, tokens(), "fc1")
    right, skipped = verified(net, [group, replace(group, name="again")], tokens(), {})
    assert [found.name for found in right] == ["fc1"]
    assert skipped == {"again": "its channels are those of fc1"}


def test_of_alternatives_the_first_that_holds_is_taken():
    net = block()
    group = group_of(net, tokens(), "fc1")
    wrong = planted(group, "fc1.bias", swapped(0, 9))
    right, skipped = verified(net, [wrong, group], tokens(), {})
    assert right == [group]
    assert not skipped


def test_groups_that_cannot_be_narrowed_together_are_told_apart():
    class Rectangle(nn.Module):
        """Two widths, of which only one at a time may change."""

        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = nn.Linear(4, 8), nn.Linear(8, 3), nn.Linear(4, 8), nn.Linear(8, 3)

        def forward(self, x):
            if self.a.out_features + self.c.out_features < 12:
                raise ValueError("too narrow")
            return self.b(self.a(x)) + self.d(self.c(x))

    torch.manual_seed(0)
    net, args = Rectangle().eval(), (torch.rand(2, 4),)
    right, skipped = verified(net, [group_of(net, args, "a"), group_of(net, args, "c")], args, {})
    assert [group.name for group in right] == ["a"]
    assert skipped["c"].startswith(
        "together with other groups, the narrower network does not run: ValueError: too narrow"
    )


def test_a_weight_of_two_modules_is_kept_whole():
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)).eval()
    net[1].weight = net[0].weight
    each = torch.arange(8)
    group = ChannelGroup("0", 8, (Member("0.weight", 0, each, each), Member("1.weight", 1, each, each)))
    _, skipped = verified(net, [group], (torch.rand(1, 8),), {})
    assert skipped == {"0": "its weight 1.weight is another module's as well"}


def test_the_network_is_left_as_it_is():
    net = block()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    groups, _ = find(copy.deepcopy(net), tokens(), {})
    reported = []
    verified(net, groups, tokens(), {}, lambda what, done, total: reported.append((what, done, total)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert reported[-1] == ("verify", len(groups), len(groups))


def test_perturbing_leaves_no_constant():
    net = perturbed(nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.Linear(6, 6)))
    assert all(tensor.std() > 1e-2 for tensor in net.state_dict().values() if tensor.is_floating_point())
    assert (net[1].running_var > 0).all()
