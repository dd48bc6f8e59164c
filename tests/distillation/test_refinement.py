"""Refinement: starts from the analytic bottleneck, ends in the same format, and takes fewer bytes."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Bottleneck, Splittable
from adaedge.distillation import refine
from adaedge.distillation.refinement import divergence
from adaedge.distillation.straight_through import DifferentiableBottleneck
from adaedge.errors import CodecError, TrainingError


def pictures(count, seed):
    """Smooth random pictures: what a network sees is correlated between neighbours."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.randn(count, 1, 3, 5, 5, generator=generator)
    return [nn.functional.interpolate(image, (24, 24), mode="bicubic") for image in small]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, 2, 1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 36, 10),
    ).eval()
    net[6].weight.data *= 25  # decided predictions, as those of a trained network
    return net


@pytest.fixture(scope="module")
def fitted(net):
    return Bottleneck.fit(net, (pictures(1, 0)[0],), split="1", images=pictures(32, 0))


@pytest.fixture(scope="module")
def hasty(net):
    """Fitted to other pictures than those to come, so that there is much to learn."""
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(1, 3, 24, 24, generator=generator) for _ in range(32)]
    return Bottleneck.fit(net, (noise[0],), split="1", images=noise)


@pytest.fixture(scope="module")
def refined(hasty):
    return refine(hasty, pictures(96, 1), epochs=6, views=2, rate=2e-3)


def curve(bottleneck, images):
    """Mean bytes and mean loss of every rate, through real streams."""
    bytes_, losses = [], []
    with torch.no_grad():
        for rate in bottleneck.rates:
            bottleneck.rate = rate
            streams = [bottleneck.compress(*bottleneck.head(image)) for image in images]
            found = torch.cat([bottleneck.tail(*bottleneck.decompress(data)) for data in streams])
            wanted = torch.cat([bottleneck.tail(*bottleneck.head(image)) for image in images])
            bytes_.append(np.mean([len(data) for data in streams]))
            classes = wanted.shape[1] > 1 and wanted.dim() == 2
            losses.append(divergence(found, wanted, classes=classes).mean().item())
    return np.array(bytes_), np.array(losses)


def losses_between(*curves):
    """A loss that all curves pass."""
    return float(np.sqrt(min(losses[0] for losses in curves) * max(losses[-1] for losses in curves)))


def test_fewer_bytes_at_the_same_loss_on_other_images(hasty, refined):
    (before, lost), (after, still) = (curve(each, pictures(40, 2)) for each in (hasty, refined))
    assert (np.diff(after) > 0).all()
    for level in (losses_between(lost, still), 0.5 * losses_between(lost, still)):
        old, new = (
            math.exp(np.interp(-math.log(level), -np.log(losses), np.log(bytes_)))
            for bytes_, losses in ((before, lost), (after, still))
        )
        assert new < 0.95 * old


def test_it_is_a_bottleneck_like_any_other(hasty, refined, tmp_path):
    assert refined.rates == hasty.rates
    assert np.array_equal(refined.latents.sizes, hasty.latents.sizes)
    assert (refined.head, refined.tail, refined.split) == (hasty.head, hasty.tail, hasty.split)
    features = [refined.head(image) for image in pictures(40, 3)]
    predicted = np.mean([refined.predicted_bytes(*feature) for feature in features])
    assert predicted == pytest.approx(np.mean([len(refined.compress(*feature)) for feature in features]), rel=0.02)
    refined.save(tmp_path / "refined")
    other = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 144, 2)).eval()
    again = Bottleneck.load(tmp_path / "refined", other, (pictures(1, 0)[0],))
    assert again.compress(*features[0]) == refined.compress(*features[0])


def test_network_and_bottleneck_stay_as_they_are(net, fitted):
    fingerprint = fitted.latents.fingerprint
    before = {name: value.clone() for name, value in net.state_dict().items()}
    generator = torch.get_rng_state()
    refine(fitted, pictures(4, 0), epochs=1, views=0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    assert fitted.latents.fingerprint == fingerprint
    assert torch.equal(torch.get_rng_state(), generator)


def test_it_starts_from_what_the_integers_do(fitted):
    relaxed = DifferentiableBottleneck(fitted.latents)
    features = torch.cat([fitted.head(image)[0] for image in pictures(10, 4)]).detach().numpy()
    rows = fitted.latents.layout.rows([features])
    for rate in fitted.rates:
        exact = fitted.latents.synthesise(fitted.latents.quantise(fitted.latents.analyse(rows), rate), rate)
        found, bits = relaxed(torch.from_numpy(rows), torch.full((10,), rate))
        apart = (found.detach().numpy() - exact) / exact.std()
        assert np.mean(np.abs(apart)) < 2e-3  # a latent at the edge of its step may fall on the other side
        assert bits.shape == (10,)
    values = fitted.latents.quantise(fitted.latents.analyse(rows), 9)
    coded = fitted.latents.tables.bits(values, fitted.latents.sent(9)[1])
    assert bits.sum().item() == pytest.approx(coded, rel=0.15)


def test_without_training_the_maps_are_the_same(fitted):
    latents = refine(fitted, pictures(8, 0), epochs=1, views=0, rate=0.0).latents
    ratio = latents.channels / fitted.latents.channels.astype(float)
    assert np.allclose(ratio[np.abs(fitted.latents.channels) > 1000], ratio.flat[0], rtol=1e-3)
    assert np.allclose(latents.decoder(), fitted.latents.decoder(), atol=1e-4)
    assert np.allclose(latents.back_places, fitted.latents.back_places, atol=1e-5)
    assert np.array_equal(latents.spread, fitted.latents.spread)


def test_the_decoder_undoes_whatever_the_encoder_learns(fitted):
    relaxed, before = DifferentiableBottleneck(fitted.latents), DifferentiableBottleneck(fitted.latents).transform()
    torch.manual_seed(0)
    for parameter in (relaxed.mix, *relaxed.turns):
        parameter.data = 0.05 * torch.randn_like(parameter)
    relaxed.spread.data += 1
    after = relaxed.transform()
    assert not np.allclose(after.channels, before.channels, atol=0.01)
    assert np.allclose(after.channels @ after.back, before.channels @ before.back, atol=1e-3)
    for there, back in zip(after.maps, after.back_maps, strict=True):
        assert np.allclose(there @ back, np.eye(len(there)), atol=1e-3)
    assert np.allclose(after.variances, before.variances * np.exp(2), rtol=1e-3)


def test_gradients_reach_every_matrix(fitted):
    relaxed = DifferentiableBottleneck(fitted.latents)
    rows = torch.from_numpy(fitted.latents.layout.rows([fitted.head(pictures(1, 5)[0])[0].detach().numpy()]))
    rebuilt, bits = relaxed(rows.requires_grad_(), torch.tensor([7]))
    assert torch.autograd.grad(rebuilt.square().sum(), rows, retain_graph=True)[0].abs().sum() > 10  # through rounding
    (rebuilt.square().sum() + bits.sum()).backward()
    for name, parameter in relaxed.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_a_resumed_run_is_the_same(fitted, tmp_path, monkeypatch):
    whole = refine(fitted, pictures(8, 0), epochs=2, views=1, checkpoint=tmp_path / "whole")
    with monkeypatch.context() as patched:
        from adaedge.distillation import checkpoint

        save = checkpoint.save

        def killed(path, module, optimizer, place):
            save(path, module, optimizer, place)
            raise KeyboardInterrupt

        patched.setattr(checkpoint, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            refine(fitted, pictures(8, 0), epochs=2, views=1, checkpoint=tmp_path / "half")
    resumed = refine(fitted, pictures(8, 0), epochs=2, views=1, checkpoint=tmp_path / "half")
    assert resumed.latents.fingerprint == whole.latents.fingerprint


def test_a_checkpoint_of_another_bottleneck_is_refused(net, fitted, tmp_path):
    refine(fitted, pictures(4, 0), epochs=1, views=0, checkpoint=tmp_path / "one")
    other = Bottleneck.fit(net, (pictures(1, 0)[0],), split="4", images=pictures(8, 0))
    with pytest.raises(TrainingError, match="is a checkpoint of another training"):
        refine(other, pictures(4, 0), epochs=1, views=0, checkpoint=tmp_path / "one")


def test_tokens_without_classes(tmp_path):
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0, batch_first=True)
    net = nn.Sequential(nn.Linear(12, 16), layer, nn.Linear(16, 16)).eval()
    tokens = [torch.randn(1, 9, 12) for _ in range(24)]
    bottleneck = Bottleneck.fit(Splittable(net, (tokens[0],)), (), split="0", images=tokens)
    refined = refine(bottleneck, [(each,) for each in tokens], epochs=2)
    _, after = curve(refined, tokens)
    assert after[-1] < 0.1
    assert refined.latents.layout.grid == (9,)


def test_many_positions_have_no_map_across_them():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(2, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(24, 5)
    )
    waves = [torch.randn(1, 2, 500).cumsum(2) / 10 for _ in range(12)]
    bottleneck = Bottleneck.fit(net.eval(), (waves[0],), split="1", images=waves)
    assert not bottleneck.latents.places.size
    refined = refine(bottleneck, waves, epochs=1)
    assert not refined.latents.places.size
    assert refined.latents.spread.shape[0] == 500
    assert curve(refined, waves[:4])[1][-1] < curve(refined, waves[:4])[1][0]


def test_no_images_are_refused(fitted):
    with pytest.raises(CodecError, match="no images came to refine"):
        refine(fitted, [])


def test_divergence_is_of_predictions_or_of_directions():
    logits, wanted = torch.tensor([[0.0, 0.0], [1.0, 3.0]]), torch.tensor([[0.0, math.log(3)], [2.0, 4.0]])
    assert divergence(logits, wanted, classes=True).tolist() == pytest.approx(
        [0.25 * math.log(0.5) + 0.75 * math.log(1.5), 0], abs=1e-6
    )
    ones = torch.ones(1, 2, 2)
    assert divergence(ones, torch.eye(2)[None], classes=False).item() == pytest.approx(1 - 0.5**0.5)
