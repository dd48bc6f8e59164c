"""Incremental at tolerance 0 equals dense; caches come in, go out, and are refused where they do not belong."""

import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Incremental
from adaedge.errors import CacheError, SplitError
from adaedge.stream.incremental import Cache, Kind


class Everything(nn.Module):
    """Strides, a shortcut, pools, "same" padding, a gate, a resized map, a channel shuffle and a pooled output."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.norm = nn.BatchNorm2d(8)
        self.a, self.b = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 5, 1, 2, groups=8)
        self.down, self.short = nn.Conv2d(8, 16, 3, 2, 1), nn.Conv2d(8, 16, 1, 2)
        self.gate = nn.Conv2d(16, 16, 1)
        self.last = nn.Conv2d(24, 4, 3, padding="same", dilation=2)
        self.head = nn.Linear(4, 5)
        with torch.no_grad():
            self.norm.running_mean.uniform_(-1, 1)
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, image):
        x = torch.relu(self.norm(self.stem(nn.functional.pad(image, (0, 1, 0, 1)))))
        x = x + self.b(torch.nn.functional.gelu(self.a(x)))
        y = self.down(x) + self.short(x)
        y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)) * 0.01)
        y = nn.functional.max_pool2d(y, 3, 1, 1)
        y = nn.functional.interpolate(y, size=x.shape[2:], mode="bilinear")
        z = self.last(torch.cat([x, y], 1))
        return {"map": z, "class": self.head(z.mean((2, 3))), "number": 3}


def net_of(seed=0):
    torch.manual_seed(seed)
    return Everything().eval()


def plain(channels=3):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 2, 1)
    ).eval()


def dense(net, frame):
    with torch.no_grad():
        return net(frame)


def changed(frame, rows, columns, value=None):
    frame = frame.clone()
    part = frame[..., slice(*rows), slice(*columns)]
    part.copy_(torch.rand_like(part) if value is None else torch.full_like(part, value))
    return frame


def assert_close(got, expected):
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


SEQUENCE = [((0, 6), (0, 6)), ((60, 66), (90, 97)), ((30, 33), (1, 3)), ((0, 0), (0, 0)), ((0, 66), (0, 97))]


def test_any_sequence_of_frames_equals_dense_and_computes_less():
    net, frame = net_of(), torch.rand(1, 3, 66, 97)
    stream, cache = Incremental(net, (frame,)), None
    shares = []
    for rows, columns in SEQUENCE:
        frame = changed(frame, rows, columns)
        output, cache = stream(frame, cache)
        expected = dense(net, frame)
        assert_close(output["map"], expected["map"])
        assert_close(output["class"], expected["class"])
        assert output["number"] == 3
        shares.append(stream.stats.macs_share)
    assert shares[0] == shares[4] == 1
    assert shares[3] == 0
    assert stream.stats.path == "dense"


def test_parts_are_computed_where_a_little_changes():
    net, frame = plain(), torch.rand(1, 3, 256, 256)
    stream = Incremental(net, (frame,))
    _, cache = stream(frame, None)
    frame = changed(frame, (250, 256), (0, 9))
    output, cache = stream(frame, cache)
    assert torch.allclose(output, dense(net, frame), atol=1e-6)
    assert stream.stats.path == "incremental"
    assert 0 < stream.stats.macs_share < 0.05
    assert cache.stats == stream.stats
    (box,) = stream.stats.boxes
    assert box == ((248, 256), (0, 16))


def test_there_and_back_and_a_reused_buffer():
    net, first = plain(), torch.rand(1, 3, 128, 128)
    second = changed(first, (40, 50), (90, 100))
    stream, buffer, cache = Incremental(net, (first,)), first.clone(), None
    for frame in (first, second, first, second, second, first):
        buffer.copy_(frame)
        output, cache = stream(buffer, cache)
        assert_close(output, dense(net, frame))
        output.zero_()  # the caller's to do with as they like


def test_two_streams_share_one_wrapper():
    net = plain()
    frames = [torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128)]
    stream, caches = Incremental(net, (frames[0],)), [None, None]
    for turn in range(3):
        for at in (0, 1):
            frames[at] = changed(frames[at], (turn * 9, turn * 9 + 4), (at * 50, at * 50 + 8))
            output, caches[at] = stream(frames[at], caches[at])
            assert_close(output, dense(net, frames[at]))


def test_nothing_of_the_callers_is_changed():
    net, frame = net_of().train(), torch.rand(1, 3, 66, 97)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    kept = frame.clone()
    stream = Incremental(net, (frame,))
    _, cache = stream(frame, None)
    stream(changed(frame, (0, 8), (0, 8)), cache)
    assert net.training
    assert torch.equal(frame, kept)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_what_is_not_a_number_is_computed_and_gone_with_the_next_frame():
    net, frame = net_of(), torch.rand(1, 3, 66, 97)
    for tolerance in (0.0, 0.05):
        stream = Incremental(net, (frame,), tolerance=tolerance)
        _, cache = stream(frame, None)
        broken = frame.clone()
        broken[0, 0, 5, 5] = float("nan")
        output, cache = stream(broken, cache)
        assert output["class"].isnan().all()
        output, cache = stream(frame, cache)
        assert_close(output["map"], dense(net, frame)["map"])


def test_a_first_frame_that_is_not_a_number_is_held_for_nothing():
    net, frame = plain(), torch.rand(1, 3, 128, 128)
    stream = Incremental(net, (frame,), tolerance=0.05)
    _, cache = stream(torch.full_like(frame, float("nan")), None)
    output, cache = stream(frame, cache)
    assert_close(output, dense(net, frame))


def test_a_cache_is_used_once_and_a_copy_is_another():
    net, frame = plain(), torch.rand(1, 3, 128, 128)
    stream = Incremental(net, (frame,))
    _, cache = stream(frame, None)
    copy = cache.copy()
    other = changed(frame, (0, 8), (0, 8))
    stream(other, cache)
    assert cache.is_used
    with pytest.raises(CacheError, match=r"this cache was used by an earlier frame. Give the one that the last frame"):
        stream(frame, cache)
    output, _ = stream(changed(frame, (64, 70), (0, 8), 0.5), copy)
    assert_close(output, dense(net, changed(frame, (64, 70), (0, 8), 0.5)))


def test_a_cache_of_another_network_is_refused():
    frame = torch.rand(1, 3, 128, 128)
    torch.manual_seed(5)
    other = nn.Sequential(*[nn.Conv2d(a, b, 3, s, 1) for a, b, s in ((3, 8, 2), (8, 8, 1), (8, 4, 2))]).eval()
    twin = plain()
    with torch.no_grad():
        twin[0].weight[0, 0, 0, 0] += 1
    _, cache = Incremental(plain(), (frame,))(frame, None)
    for net in (other, twin):
        with pytest.raises(CacheError, match=r"this cache is of another network .* Give `None` to begin anew"):
            Incremental(net, (frame,))(frame, cache)


def test_a_cache_is_saved_and_read_again(tmp_path):
    net, frame = plain(), torch.rand(1, 3, 128, 128)
    stream = Incremental(net, (frame,))
    _, cache = stream(frame, None)
    cache.save(tmp_path / "cache")
    frame = changed(frame, (64, 70), (0, 8))
    output, _ = stream(frame, Cache.load(tmp_path / "cache"))
    assert stream.stats.path == "incremental"
    assert_close(output, dense(net, frame))
    (tmp_path / "cache").write_bytes(b"nothing")
    with pytest.raises(CacheError, match=r"is no cache: .* Write one with `cache.save`"):
        Cache.load(tmp_path / "cache")


def test_a_cache_that_was_written_to_is_refused(tmp_path):
    net, frame = plain(), torch.rand(1, 3, 128, 128)
    stream = Incremental(net, (frame,))
    output, cache = stream(frame, None)
    output[...] = 7  # the caller's: nothing of the cache
    cache.save(tmp_path / "cache")
    written = bytearray((tmp_path / "cache").read_bytes())
    written[-5] ^= 1
    (tmp_path / "cache").write_bytes(written)
    with pytest.raises(CacheError, match=r"is no cache: it was written to\. Write one with `cache.save`"):
        Cache.load(tmp_path / "cache")
    kept = cache.copy()
    kept._tensors[0] = kept._tensors[0][..., :-1]
    with pytest.raises(CacheError, match=r"this cache was written to: it holds other tensors .* Give `None` to begin"):
        stream(frame, kept)
    assert_close(stream(frame, cache)[0], dense(net, frame))


def test_a_cache_from_before_a_refresh_gives_no_wrong_answer():
    net, frames = plain(), [torch.rand(1, 3, 128, 128) for _ in range(2)]
    frames.append(changed(frames[0], (64, 70), (0, 8)))
    stream = Incremental(net, (frames[0],))
    _, before = stream(frames[0], None)
    stream(frames[1], None)  # a refresh
    output, _ = stream(frames[2], before)
    assert stream.stats.path == "incremental"  # against what it holds, however old
    assert_close(output, dense(net, frames[2]))


def test_another_size_or_type_is_refused():
    frame = torch.rand(1, 3, 128, 128)
    stream = Incremental(plain(), (frame,))
    with pytest.raises(SplitError, match=r"an input of shape \(1, 3, 128, 128\) was captured; this call has"):
        stream(torch.rand(1, 3, 128, 127), None)
    with pytest.raises(CacheError, match=r"made incremental for float32 \(1, 3, 128, 128\); got float64 .* Wrap it"):
        stream(frame.double(), None)
    with pytest.raises(CacheError, match=r"tolerance is a share of a tensor's spread, in \[0, 1\); got 2"):
        Incremental(plain(), (frame,), tolerance=2)


def test_within_a_tolerance_noise_is_left_and_movement_is_not():
    net = plain()
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(1, 3, 16, 16, generator=generator).repeat_interleave(16, 2).repeat_interleave(16, 3)
    stream = Incremental(net, (scene,), tolerance=0.05)
    _, cache = stream(scene, None)
    _, cache = stream(scene + 0.004 * torch.randn(scene.shape, generator=generator), cache)
    assert stream.stats.path == "unchanged"
    moved = changed(scene, (64, 96), (64, 96), 0.9)
    output, cache = stream(moved + 0.004 * torch.randn(scene.shape, generator=generator), cache)
    assert stream.stats.path == "incremental"
    expected = dense(net, moved)
    assert (output - expected).square().mean() < 1e-4 * expected.square().mean()


def test_change_adds_up_against_what_was_propagated():
    net, frame = plain(), torch.rand(1, 3, 128, 128)
    stream = Incremental(net, (frame,), tolerance=0.1)
    _, cache = stream(frame, None)
    paths = []
    for _ in range(30):  # each step is far below the tolerance
        frame = frame + 0.005
        output, cache = stream(frame, cache)
        paths.append(stream.stats.path)
        expected = dense(net, frame)
        assert (output - expected).square().mean().sqrt() < 0.15 * expected.square().mean().sqrt()
    assert 3 < paths.count("unchanged") < 30


def test_audits_compare_with_dense_and_tighten():
    net, frame = plain(), torch.rand(1, 3, 128, 128)
    stream = Incremental(net, (frame,), tolerance=0.6, audit_every=2, floor=0.999999)
    _, cache = stream(frame, None)
    for turn in range(4):
        frame = changed(frame, (turn * 20, turn * 20 + 16), (0, 128))
        output, cache = stream(frame, cache)
        if stream.stats.path == "audit":
            assert_close(output, dense(net, frame))
    assert cache.tightened < 1


def test_a_network_that_cannot_be_captured_runs_as_ever():
    class Branching(nn.Module):
        def forward(self, image):
            return image * 2 if float(image.sum()) > 0 else image

    frame = torch.rand(1, 3, 8, 8)
    stream = Incremental(Branching(), (frame,))
    output, cache = stream(frame, None)
    output, cache = stream(-frame, cache)
    assert torch.equal(output, -frame)
    assert stream.stats.path == "dense"
    assert "cannot" in str(stream.obstacle)


def test_what_mixes_all_positions_runs_as_a_whole():
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.mix = nn.Conv2d(3, 4, 3, 1, 1), nn.Linear(64, 64)

        def forward(self, image):
            return self.mix(self.conv(image)).softmax(-1)

    net, frame = Mixing().eval(), torch.rand(1, 3, 64, 64)
    stream = Incremental(net, (frame,))
    assert stream.runner.plan.segments[-1].kind is Kind.WHOLE
    _, cache = stream(frame, None)
    frame = changed(frame, (0, 4), (0, 4))
    output, _ = stream(frame, cache)
    assert_close(output, dense(net, frame))


def test_random_changes_of_a_random_network_equal_dense():
    rng = np.random.default_rng(0)
    for seed in range(3):
        torch.manual_seed(seed)
        kernel, stride, dilation = (int(rng.choice(values)) for values in ((1, 3, 5, 7), (1, 2, 3), (1, 2)))
        net = nn.Sequential(
            nn.Conv2d(3, 6, kernel, stride, int(rng.integers(0, 4)), dilation),
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            nn.Hardswish(),
            nn.Conv2d(6, 5, 3, 1, 1),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(5, 5, (1, 5), 1, (0, 2)),
        ).eval()
        frame = torch.rand(2, 3, 151, 203)
        stream, cache = Incremental(net, (frame,)), None
        for _ in range(6):
            top, left = int(rng.integers(0, 150)), int(rng.integers(0, 200))
            frame = changed(frame, (top, top + 9), (left, left + 20))
            output, cache = stream(frame, cache)
            assert_close(output, dense(net, frame))
        assert stream.stats.path == "incremental"


def test_a_channel_shuffle_is_taken_in_part():
    class Shuffled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)

        def forward(self, image):
            x = self.a(image)
            batch, channels, height, width = x.shape
            x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
            one, other = self.b(x).chunk(2, 1)
            return torch.cat([one, other * 2], 1)

    net, frame = Shuffled().eval(), torch.rand(1, 3, 256, 200)
    stream = Incremental(net, (frame,))
    _, cache = stream(frame, None)
    frame = changed(frame, (90, 99), (0, 9))
    output, _ = stream(frame, cache)
    assert_close(output, dense(net, frame))
    assert stream.stats.macs_share < 0.05


def test_busy_frames_hold_nothing_until_it_is_quiet_again():
    net, frame = plain(), torch.rand(1, 3, 128, 128)
    stream = Incremental(net, (frame,))
    _, cache = stream(frame, None)
    held = cache.length_bytes
    for _ in range(3):
        frame = torch.rand_like(frame)
        output, cache = stream(frame, cache)
        assert_close(output, dense(net, frame))
    assert cache.is_busy
    assert cache.length_bytes < held
    assert stream.stats.path == "dense"
    for path in ("refresh", "incremental"):
        frame = changed(frame, (40, 44), (60, 64))
        output, cache = stream(frame, cache.copy())
        assert_close(output, dense(net, frame))
        assert stream.stats.path == path


def test_a_map_of_the_networks_own_is_taken_in_part_as_well():
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 1)
            self.places = nn.Parameter(torch.rand(1, 4, 64, 64))

        def forward(self, image):
            return self.b(self.a(image) + self.places)

    net, frame = Placed().eval(), torch.rand(1, 3, 128, 128)
    stream = Incremental(net, (frame,))
    _, cache = stream(frame, None)
    frame = changed(frame, (90, 99), (0, 9))
    output, _ = stream(frame, cache)
    assert_close(output, dense(net, frame))
    assert stream.stats.macs_share < 0.2
