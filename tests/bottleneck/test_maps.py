"""Bottlenecks of networks that answer with maps, argmax-ended ones among them."""

import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Bottleneck, Bundle, OperatingPoint, Space, build
from adaedge.bottleneck import direction_loss
from adaedge.bottleneck.losses import overlap
from adaedge.distillation.refinement import divergence
from adaedge.payload.latent.storage import from_bytes

EXAMPLE = (torch.zeros(1, 3, 32, 32),)


class Segmenter(nn.Module):
    """Labels from half of the stem's channels; what the other half says is added to all logits, loud, for nothing."""

    def __init__(self, *, labels=False):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.inner = nn.Conv2d(3, 12, 3, 2, 1), nn.Conv2d(12, 16, 3, 2, 1)
        self.last = nn.Conv2d(16, 4, 1)
        self.inner.weight.data[:8, 6:] = 0
        self.inner.weight.data[8:, :6] = 0
        self.last.weight.data[:, 8:] *= 8  # decided labels, as those of a trained network
        self.last.weight.data[:, :8] = 10 * torch.randn(1, 8, 1, 1)
        self.labels = labels

    def forward(self, image):
        logits = self.last(self.inner(self.stem(image).relu()).relu())
        return logits.argmax(1) if self.labels else logits


def images(count, seed=0):
    """Smooth random pictures."""
    small = torch.randn(count, 1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return [nn.functional.interpolate(image, (32, 32), mode="bicubic") for image in small]


@pytest.fixture(scope="module")
def net():
    return Segmenter().eval()


@pytest.fixture(scope="module")
def fitted(net):
    return Bottleneck.fit(net, EXAMPLE, split="stem", images=images(24))


def curve(bottleneck, net, seed=1):
    """Bytes and overlap of every rate, on other pictures."""
    rows = []
    for rate in bottleneck.rates:
        bottleneck.rate = rate
        with torch.no_grad():
            seen = [bottleneck.head(image) for image in images(12, seed)]
            found = [bottleneck.tail(*bottleneck.decompress(bottleneck.compress(*one))) for one in seen]
            length = np.mean([len(bottleneck.compress(*one)) for one in seen])
        rows.append((length, overlap(found, [net(image) for image in images(12, seed)])))
    return np.array(rows)


def test_labels_need_fewer_bytes_than_the_direction_of_all_logits(net, fitted):
    by_direction = Bottleneck.fit(net, EXAMPLE, split="stem", images=images(24), loss=direction_loss, finest=1e-4)
    mine, other = curve(fitted, net), curve(by_direction, net)
    at = np.linspace(max(mine[0, 0], other[0, 0]), min(mine[-1, 0], other[-1, 0]), 8)
    gain = np.interp(at, *mine.T) - np.interp(at, *other.T)
    assert at[-1] > 1.5 * at[0]
    assert (gain > 0).all()
    assert gain.mean() > 0.03


def test_the_finest_rate_keeps_the_labels_and_none_is_wasted_on_more(net, fitted):
    rows = curve(fitted, net)
    assert 0.95 < rows[-1, 1] < 0.995
    assert (np.diff(rows[:, 0]) > 0).all()
    assert rows[0, 1] < rows[4, 1] < rows[-1, 1]
    coarser = Bottleneck.fit(net, EXAMPLE, split="stem", images=images(24), finest=0.15)
    assert coarser.latents.sizes[-1] > 1.5 * fitted.latents.sizes[-1]


def test_before_an_argmax_the_fit_is_that_of_its_scores(net, fitted):
    labelled = Bottleneck.fit(Segmenter(labels=True).eval(), EXAMPLE, split="stem", images=images(24))
    assert labelled.latents.fingerprint == fitted.latents.fingerprint
    with torch.no_grad():
        found = labelled(images(1)[0])
    assert found.dtype == torch.int64
    assert torch.equal(found, fitted(images(1)[0]).argmax(1))


def test_a_bundle_that_ends_in_labels_has_its_bottleneck(fitted, tmp_path):
    net = Segmenter(labels=True).eval()
    samples = [(image.numpy(),) for image in images(24)]
    build(net, EXAMPLE, Space(["stem"], codecs=["bottleneck"]), calibrate=samples).save(tmp_path / "labels.bundle")
    bundle = Bundle.load(tmp_path / "labels.bundle")
    rates = [point for point in bundle.points if point.split == "stem"]
    assert len(rates) == 10
    (path,) = {cut.bottleneck for cut in bundle.manifest.cuts if cut.bottleneck}
    _, latents = from_bytes((tmp_path / "labels.bundle" / path).read_bytes(), path)
    own, other = fitted.with_latents(latents), images(1, seed=5)[0]
    for point in rates[::3]:
        own.rate = int(point.codec.partition("@")[2])
        (labels,) = bundle.run(point, (other.numpy(),))
        with torch.no_grad():
            assert np.array_equal(labels, own(other).argmax(1).numpy()), "as PyTorch has it"
    (local,) = bundle.run(OperatingPoint("output"), (other.numpy(),))
    assert np.array_equal(local, net(other).numpy())
    accuracies = [entry.accuracy for entry in bundle.manifest.points if entry.point.split == "stem"]
    assert all(one is not None and one.metric == "iou" for one in accuracies)
    assert accuracies[-1].value > 0.9


def test_a_maps_divergence_is_the_mean_over_its_positions():
    found, wanted = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    whole = divergence(found, wanted, classes=True)
    each = [[divergence(found[:, :, y, x], wanted[:, :, y, x], classes=True) for x in range(5)] for y in range(4)]
    assert torch.allclose(whole, torch.stack([torch.stack(row) for row in each]).mean((0, 1)))
