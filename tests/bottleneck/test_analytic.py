"""The fit itself: which loss is taken, what the metric says, and that the transform is what it should be."""

import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Bottleneck
from adaedge.bottleneck.fisher import Sample
from adaedge.bottleneck.fit import fit_latents
from adaedge.bottleneck.transform import fit_transform
from adaedge.payload.latent import Layout, compress
from adaedge.payload.latent.storage import from_bytes, to_bytes


class Features(nn.Module):
    """Tokens of an image without a classifier: the first one, normalised."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Linear(6, 12), nn.Linear(12, 12)
        self.norm = nn.LayerNorm(12)

    def forward(self, tokens):
        return self.norm(self.mix(self.embed(tokens).relu()).relu())[:, 0]


def correlated(layout, count=200, seed=0):
    """Rows whose neighbours are alike, of which the network sees the first component only."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, layout.positions, layout.width))
    body = rows[:, layout.prefix :].reshape(count, *layout.sides, layout.width)
    for axis in range(1, body.ndim - 1):
        body = body + np.roll(body, 1, axis) + np.roll(body, 2, axis)
    rows[:, layout.prefix :] = body.reshape(count, -1, layout.width)
    rows[:, : layout.prefix] += 50
    gradients = np.float32(generator.normal(size=rows.shape) * np.append(1, [1e-3] * (layout.width - 1)))
    return Sample(rows, gradients)


@pytest.mark.parametrize("layout", [
    Layout.of([(1, 4, 6, 5)], [1], ["float32"]), Layout.of([(1, 18, 4)], [2], ["float32"]),
    Layout.of([(1, 4, 2, 3, 4)], [1], ["float32"]), Layout.of([(1, 500, 4)], [2], ["float32"]),
], ids=["image", "tokens", "clip", "long"])  # fmt: skip
def test_the_transform_has_an_inverse_and_packs_energy(layout):
    sample = correlated(layout, 60 if layout.positions > 100 else 200) if layout.sides else long(layout)
    transform = fit_transform(sample, layout, ridge=0.03, shrinkage=5.0)
    assert (transform.variances > 0).all()
    latents = fit_latents(sample, transform, layout, rates=6, finest=1e-4)
    found = latents.rebuild((latents.analyse(sample.rows) * unit(latents)).astype(np.float32))
    kept = np.abs(transform.channels).sum(axis=1) > 0.1 * np.abs(transform.channels).sum(axis=1).max()
    seen = np.abs(found - sample.rows)[..., 0].max()
    assert kept[0]
    assert seen < 0.05
    if layout.sides:
        body = transform.variances[layout.prefix :, 0]
        assert body.max() > 5 * np.exp(np.log(body).mean()), "neighbours that are alike share their energy"


def long(layout):
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(20, layout.positions, layout.width))
    return Sample(rows, np.float32(generator.normal(size=rows.shape)))


def unit(latents):
    return float(latents.sizes[-1]) / float(latents.steps[-1])


def test_tokens_before_the_grid_have_means_of_their_own():
    layout = Layout.of([(1, 18, 4)], [2], ["float32"])
    assert layout.prefix == 2
    sample = correlated(layout)
    transform = fit_transform(sample, layout, ridge=0.03, shrinkage=5.0)
    assert transform.mean.shape == (3, 4)
    assert np.abs(transform.mean[1:] - 50).max() < 1
    latents = fit_latents(sample, transform, layout, rates=6, finest=1e-3)
    nothing = latents.rebuild(np.zeros((1, *latents.spread.shape), np.float32))[0]
    assert np.abs(nothing[:2] - 50).max() < 1
    assert np.abs(nothing[2:]).max() < 1


def test_a_last_rate_that_loses_too_much_is_made_finer():
    layout = Layout.of([(1, 4, 6, 5)], [1], ["float32"])
    sample = correlated(layout)
    transform = fit_transform(sample, layout, ridge=0.03, shrinkage=5.0)
    plain = fit_latents(sample, transform, layout, rates=6, finest=0.1)

    def measured(latents):  # a network that loses ten times what is expected
        return 5 * latents.sizes[-1] ** 2 / plain.sizes[-1] ** 2

    finer = fit_latents(sample, transform, layout, rates=6, finest=0.1, measured=measured)
    assert measured(finer) < 0.13
    assert finer.sizes[-1] < plain.sizes[-1] / 4
    assert (
        fit_latents(sample, transform, layout, rates=6, finest=0.1, measured=lambda _: 0.1).sizes[-1]
        == (plain.sizes[-1])
    )


def test_a_network_without_classes_keeps_its_direction():
    torch.manual_seed(0)
    net = Features().eval()
    tokens = [torch.randn(1, 18, 6) for _ in range(24)]
    bottleneck = Bottleneck.fit(net, (tokens[0],), split="embed", images=tokens)
    with torch.no_grad():
        found = torch.cat([bottleneck(one) for one in tokens])
        wanted = torch.cat([net(one) for one in tokens])
    assert 1 - nn.functional.cosine_similarity(found, wanted).mean() < 0.02


def standing(layout, count=24, noise=0.3, seed=0):
    """Rows of a camera that stands still: a scene, and what changes before it."""
    generator = np.random.default_rng(seed)
    scene = 10 * np.random.default_rng(99).normal(size=(1, layout.positions, layout.width))
    rows = scene + noise * generator.normal(size=(count, layout.positions, layout.width))
    return Sample(rows, np.float32(generator.normal(size=rows.shape)))


@pytest.mark.parametrize("layout", [
    Layout.of([(1, 4, 6, 5)], [1], ["float32"]), Layout.of([(1, 18, 4)], [2], ["float32"]),
], ids=["image", "tokens"])  # fmt: skip
def test_where_the_camera_stands_still_each_position_has_its_mean(layout, tmp_path):
    sample = standing(layout)
    transform = fit_transform(sample, layout, ridge=0.03, shrinkage=5.0)
    assert transform.mean.shape == (layout.positions, layout.width)
    assert np.allclose(transform.mean, sample.rows.mean(axis=0))
    latents = fit_latents(sample, transform, layout, rates=6, finest=1.0)
    again = from_bytes(to_bytes("here", latents), "file")[1]
    assert again.fingerprint == latents.fingerprint
    new, other = (
        standing(layout, 8, seed=5).rows,
        10 * np.random.default_rng(7).normal(size=(4, *sample.rows.shape[1:])),
    )
    lengths = [np.mean([len(compress(again, 5, layout.tensors(np.float32(one[None])))) for one in rows])
               for rows in (new, other)]  # fmt: skip
    assert lengths[0] < lengths[1], "the scene itself is not sent; another one is"
    for rows, most in ((new, 0.6), (other, 0.6)):
        found = again.synthesise(again.quantise(again.analyse(rows), 5), 5)
        assert np.sqrt(np.square(found - rows).mean()) < most


@pytest.mark.parametrize(("channels", "kept"), [(100, True), (128, False)], ids=["240 KB", "307 KB"])
def test_means_that_make_an_encoder_large_have_to_be_worth_it(channels, kept):
    """A third of the energy, or so, is not in the scene: of these means enough for small ones, too little for large."""
    layout = Layout.of([(1, channels, 24, 25)], [1], ["float32"])
    still, lively = (fit_transform(standing(layout, 8, noise), layout, ridge=0.03, shrinkage=5.0) for noise in (1, 13))
    assert still.mean.shape == (600, channels)
    assert lively.mean.shape == ((600, channels) if kept else (1, channels))


@pytest.mark.parametrize("count", [4, 24])
def test_without_a_scene_or_with_few_images_one_mean_serves_all(count):
    layout = Layout.of([(1, 4, 6, 5)], [1], ["float32"])
    sample = standing(layout, count) if count < 8 else correlated(layout, count)
    assert fit_transform(sample, layout, ridge=0.03, shrinkage=5.0).mean.shape == (1, 4)
