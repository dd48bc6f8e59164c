"""A network of clips whose window slides: new frames only are computed, exactly where no slot looks at another."""

import numpy as np
import pytest
import torch
from torch import nn

from adaedge.builder.incremental_graphs import onnx_slide
from adaedge.errors import CacheError, CaptureError
from adaedge.incremental import Sliding
from adaedge.incremental.slide import slid


class PerFrame(nn.Module):
    """A network of single frames, with a head along time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv3d(3, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1)), nn.BatchNorm3d(8)
        self.body, self.pool = nn.Conv3d(8, 8, (1, 3, 3), 1, (0, 1, 1)), nn.AvgPool3d((2, 1, 1))
        self.time = nn.Conv1d(8, 5, 3, padding=1)

    def forward(self, clip):
        x = torch.relu(self.norm(self.stem(clip)))
        x = self.pool(x + self.body(x))
        return {"classes": self.time(x.mean((3, 4))).mean(2), "number": 3}


def temporal(padding=1):
    """One convolution along time, its map returned."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 4, 3, padding=(padding, 1, 1)), nn.ReLU()).eval()


class Folded(nn.Module):
    """The same idea, frames in the place of the batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.body = nn.Conv2d(8, 8, 3, 1, 1)
        self.time = nn.Conv1d(8, 5, 3, padding=1)

    def forward(self, clip):
        x = torch.relu(self.norm(self.stem(clip[0].transpose(0, 1))))
        x = nn.functional.adaptive_avg_pool2d(x + self.body(x), 1).flatten(1)
        return self.time(x.T[None]).relu().mean(2)


def film(frames=24, channels=3, seed=0):
    torch.manual_seed(seed)
    return torch.randn(1, channels, frames, 12, 14)


def dense(net, clip):
    with torch.no_grad():
        return net(clip)


def test_a_network_of_single_frames_with_a_head_along_time_is_exact():
    net, frames = PerFrame().eval(), film()
    sliding = Sliding(net, frames[:, :, :8], step=2)
    output, cache = sliding(frames[:, :, :8], None)
    for begin in range(0, 17, 2):
        if begin:
            output, cache = sliding(frames[:, :, begin + 6 : begin + 8], cache)
        expected = dense(net, frames[:, :, begin : begin + 8])
        assert output["number"] == 3
        assert (output["classes"] - expected["classes"]).abs().max() <= 1e-5 * expected["classes"].abs().max()
    assert cache.stats.path == "incremental"
    assert max(sliding.error(frames)) < 1e-5
    assert sliding.plan.macs_share < 0.3


def test_of_a_convolution_along_time_the_new_slots_are_exact_and_the_old_ones_what_they_were():
    net, frames = temporal(), film(channels=2)
    sliding = Sliding(net, frames[:, :, :8], step=4)
    before, cache = sliding(frames[:, :, :8], None)
    after, cache = sliding(frames[:, :, 8:12], cache)
    expected = dense(net, frames[:, :, 4:12])
    assert not sliding.plan.is_exact
    assert torch.allclose(after[:, :, 4:], expected[:, :, 4:], atol=1e-6)
    assert torch.equal(after[:, :, :4], before[:, :, 4:])
    wrong = (after - expected).abs().amax((0, 1, 3, 4)) > 1e-4
    assert wrong.tolist() == [True, False, False, True, False, False, False, False]  # where a zero was, and is
    assert all(0.05 < error < 1 for error in sliding.error(frames))


def test_frames_in_the_place_of_the_batch_are_followed_too():
    net, frames = Folded().eval(), film()
    sliding = Sliding(net, frames[:, :, :8], step=2)
    _, cache = sliding(frames[:, :, :8], None)
    output, _ = sliding(frames[:, :, 8:10], cache)
    assert (output - dense(net, frames[:, :, 2:10])).abs().max() <= 1e-5 * output.abs().max()
    assert sliding.plan.is_exact  # the padded convolution along time takes all slots
    assert sliding.plan.macs_share < 0.3


def test_strides_in_time_move_with_the_window():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(2, 4, 3, (2, 1, 1), 1), nn.ReLU(), nn.Conv3d(4, 4, 3, (2, 1, 1), 1)).eval()
    frames = film(channels=2)
    sliding = Sliding(net, frames[:, :, :16], step=8)
    _, cache = sliding(frames[:, :, :16], None)
    output, _ = sliding(frames[:, :, 16:24], cache)
    expected = dense(net, frames[:, :, 8:24])
    assert torch.allclose(output[:, :, 3:], expected[:, :, 3:], atol=1e-6)
    # Five frames are no slot of the second stride: from there on the network takes what there is as a whole.
    assert Sliding(net, frames[:, :, :16], step=4).plan.macs_share > sliding.plan.macs_share / 2


def test_onnx_runtime_computes_the_same():
    net, frames = PerFrame().eval(), film()
    runner, sliding = onnx_slide(slid(net, frames[:, :, :8], 2)), Sliding(net, frames[:, :, :8], 2)
    clip, new = (part.numpy() for part in (frames[:, :, :8], frames[:, :, 8:10]))
    (first,), cache = runner.run(clip)
    (second,), _ = runner.run(new, cache)
    _, cache = sliding(frames[:, :, :8], None)
    expected, _ = sliding(frames[:, :, 8:10], cache)
    assert np.abs(second - expected["classes"].numpy()).max() <= 1e-5
    assert not np.array_equal(first, second)


def test_what_does_not_fit_is_refused():
    net, frames = PerFrame().eval(), film()
    sliding = Sliding(net, frames[:, :, :8], step=2)
    _, cache = sliding(frames[:, :, :8], None)
    with pytest.raises(CacheError, match=r"takes the new frames with a cache, float32 \(1, 3, 2, 12, 14\); got"):
        sliding(frames[:, :, :8], cache)
    with pytest.raises(CacheError, match=r"takes a clip without a cache, float32 \(1, 3, 8, 12, 14\); got float32"):
        sliding(frames[:, :, :2], None)
    with pytest.raises(CacheError, match="got float64"):
        sliding(frames[:, :, :2].double(), cache)
    other = PerFrame().eval()
    with torch.no_grad():
        other.stem.weight[0, 0, 0, 0, 0] += 1
    with pytest.raises(CacheError, match="another network"):
        Sliding(other, frames[:, :, :8], step=2)(frames[:, :, 8:10], cache)
    sliding(frames[:, :, 8:10], cache)
    with pytest.raises(CacheError, match="used by an earlier frame"):
        sliding(frames[:, :, 8:10], cache)
    with pytest.raises(CacheError, match=r"a film of 9 frames; at least 10 are a clip and a slide"):
        sliding.error(frames[:, :, :9])
    with pytest.raises(CaptureError, match="takes one clip, and 1 to 7 frames of it are new; got 8"):
        Sliding(net, frames[:, :, :8], step=8)
    with pytest.raises(CaptureError, match="nothing of it follows a window that moves by 2 frames"):
        Sliding(nn.Sequential(nn.Flatten(), nn.Linear(8 * 3 * 4, 2)).eval(), torch.rand(1, 3, 8, 2, 2), step=2)


def test_what_is_not_a_number_leaves_no_cache_to_go_on_with():
    net, frames = PerFrame().eval(), film()
    sliding = Sliding(net, frames[:, :, :8], step=2)
    _, cache = sliding(frames[:, :, :8], None)
    spoilt = torch.full_like(frames[:, :, 8:10], torch.nan)
    output, cache = sliding(spoilt, cache)
    assert output["classes"].isnan().any()
    with pytest.raises(CacheError, match="Give the one that the last frame handed back, or `None` to begin anew"):
        sliding(frames[:, :, 10:12], cache)
