import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from adaedge import AnalogBottleneck, Bottleneck
from adaedge.bottleneck import AnySnr, Awgn, Rayleigh
from adaedge.channel import allocate
from adaedge.distillation import NoisyChannelObjective, Plan, train
from adaedge.errors import CodecError
from adaedge.payload.latent import coefficients, features, moved, variances


def images(count, seed=0):
    """Smooth random pictures: what a network sees is correlated between neighbours."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.randn(count, 1, 3, 6, 6, generator=generator)
    return [nn.functional.interpolate(image, (32, 32), mode="bicubic") for image in small]


@pytest.fixture(scope="module")
def bottleneck():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1024, 10),
    ).eval()
    for parameter in net[5].parameters():
        parameter.data *= 8  # decided predictions, as those of a trained network
    return Bottleneck.fit(net, (images(1)[0],), split="1", images=images(24))


@pytest.fixture(scope="module")
def crossing(bottleneck):
    with torch.no_grad():
        return bottleneck.head(torch.cat(images(40, seed=1)))[0]


def error(bottleneck, sent, received):
    """Mean ½‖·‖² between the coefficients of two features."""
    pair = [coefficients(bottleneck.latents, [part.detach().numpy()]) for part in (sent, received)]
    return np.square(pair[0] - pair[1]).sum(axis=(1, 2)).mean() / 2


def test_coefficients_are_invertible_and_in_the_metrics_unit(bottleneck, crossing):
    latents = bottleneck.latents
    values = coefficients(latents, [crossing.numpy()])
    assert np.abs(features(latents, values)[0] - crossing.numpy()).max() < 0.02
    assert np.square(values).mean(axis=0).sum() == pytest.approx(variances(latents).sum(), rel=0.2)
    # A small step costs as many nats as the unit says, on average over frames.
    small = np.random.default_rng(0).normal(0, 0.02, values.shape)
    with torch.no_grad():
        before = bottleneck.tail(crossing).log_softmax(1)
        after = bottleneck.tail(torch.from_numpy(features(latents, values + small)[0])).log_softmax(1)
    found = nn.functional.kl_div(after, before, log_target=True, reduction="batchmean").item()
    assert found == pytest.approx(np.square(small).sum(axis=(1, 2)).mean() / 2, rel=0.5)


def test_symbols_have_a_mean_power_of_1(bottleneck, crossing):
    for channel_uses in (20, 200):
        symbols = AnalogBottleneck(bottleneck, channel_uses=channel_uses).modulate(crossing)
        assert symbols.shape == (40, channel_uses)
        assert symbols.abs().square().mean().item() == pytest.approx(1, rel=0.2)


def test_without_noise_all_that_was_sent_arrives(bottleneck, crossing):
    analog = AnalogBottleneck(bottleneck, channel_uses=1024, snr_db=90.0)  # as many as there are coefficients
    (received,) = analog.demodulate(analog.modulate(crossing), 1e-9)
    assert torch.allclose(received, crossing, atol=0.02)
    assert received.is_contiguous()


@pytest.mark.parametrize("radio_channel", [Awgn(0.0), Awgn(10.0), Awgn(20.0)])
def test_the_error_is_what_the_formula_says(bottleneck, crossing, radio_channel):
    torch.manual_seed(0)
    analog = AnalogBottleneck(bottleneck, channel_uses=100, snr_db=10.0)
    received = radio_channel(analog.modulate(crossing))
    snr = 10 ** (radio_channel.snr_db / 10)
    found = variances(bottleneck.latents)
    expected = (found / (1 + 2 * snr * allocate(found, 100, 10.0))).sum() / 2
    assert error(bottleneck, crossing, analog.demodulate(*received)[0]) == pytest.approx(expected, rel=0.2)


def test_the_receiver_does_best_when_told_the_noise_that_there_is(bottleneck, crossing):
    torch.manual_seed(0)
    analog = AnalogBottleneck(bottleneck, channel_uses=60, snr_db=0.0)
    many = crossing.repeat(10, 1, 1, 1)
    received = Awgn(0.0)(analog.modulate(many))
    errors = {
        told: error(bottleneck, many, analog.demodulate(received.symbols, received.noise * told)[0])
        for told in (0.5, 0.8, 1.0, 1.25, 2.0)
    }
    assert min(errors, key=errors.__getitem__) == 1.0


def test_head_and_tail_are_never_put_into_training_mode(bottleneck):
    analog = AnalogBottleneck(bottleneck, channel_uses=60)
    assert analog.train() is analog
    assert analog.training
    assert not any(part.training for half in (analog.head, analog.tail) for part in half.modules())


def test_accuracy_falls_little_by_little(bottleneck, crossing):
    torch.manual_seed(0)
    analog = AnalogBottleneck(bottleneck, channel_uses=200)
    errors = [
        error(bottleneck, crossing, analog.demodulate(*Awgn(snr_db)(analog.modulate(crossing)))[0])
        for snr_db in (30.0, 20.0, 10.0, 0.0, -30.0)
    ]
    assert (np.diff(errors) > 0).all()
    assert errors[-1] < 1.2 * variances(bottleneck.latents).sum() / 2  # at worst the mean is decoded


def test_allocated_power_beats_equal_power(bottleneck, crossing):
    torch.manual_seed(0)
    analog, even = AnalogBottleneck(bottleneck, channel_uses=50), AnalogBottleneck(bottleneck, channel_uses=50)
    even.scales.copy_(1 / even.deviations)
    errors = [
        error(bottleneck, crossing, each.demodulate(*Awgn(5.0)(each.modulate(crossing)))[0]) for each in (analog, even)
    ]
    assert errors[0] < 0.97 * errors[1]


def test_fading_of_a_block_is_one_gain_and_the_receiver_knows_it():
    torch.manual_seed(0)
    symbols = torch.ones(2000, 8, dtype=torch.complex64)
    block, each = Rayleigh(10.0)(symbols), Rayleigh(10.0, block=False)(symbols)
    assert (block.noise.shape, each.noise.shape) == ((2000, 1), (2000, 8))
    for received in (block, each):
        # A gain's power is exponentially distributed: its mean is 1, and e⁻¹ of all gains are above that.
        assert (0.1 / received.noise).mean().item() == pytest.approx(1, rel=0.1)
        assert (received.noise < 0.1).float().mean().item() == pytest.approx(np.exp(-1), abs=0.04)
        found = (received.symbols - symbols).abs().square() / received.noise
        assert found.mean().item() == pytest.approx(1, rel=0.05)


def test_noise_of_any_snr_lies_between_the_two():
    noise = AnySnr(5.0, 15.0)(torch.zeros(500, 2, dtype=torch.complex64)).noise
    assert noise.shape == (500, 1)
    assert 10**-1.5 <= noise.min() < 10**-1.4 < 10**-0.6 < noise.max() <= 10**-0.5


def test_forward_is_the_network_with_the_radio_channel_inside(bottleneck, crossing):
    analog = AnalogBottleneck(bottleneck, channel_uses=1024, snr_db=60.0)
    image = images(1, seed=3)[0]
    with torch.no_grad():
        assert torch.allclose(analog(image), bottleneck.tail(*bottleneck.head(image)), atol=0.1)
        analog.radio_channel = Awgn(-40.0)
        assert not torch.allclose(analog(image), bottleneck.tail(*bottleneck.head(image)), atol=0.5)


def test_training_under_noise_lowers_the_loss_and_leaves_the_network(bottleneck, crossing):
    torch.manual_seed(0)
    analog = AnalogBottleneck(bottleneck, channel_uses=30, snr_db=5.0)
    analog.radio_channel = AnySnr(0.0, 15.0)
    weights = {name: value.clone() for name, value in bottleneck.tail.state_dict().items()}
    optimizer = torch.optim.Adam(analog.trained_parameters(), lr=3e-3)
    with torch.no_grad():
        data = bottleneck.head(torch.cat(images(128, seed=5)))[0]
    train(
        analog, DataLoader(data, batch_size=32, shuffle=True), NoisyChannelObjective(analog), optimizer, Plan(epochs=15)
    )

    def loss(one):
        torch.manual_seed(1)
        with torch.no_grad():
            ones = one.from_features(crossing.repeat(8, 1, 1, 1)).log_softmax(1)
            wanted = bottleneck.tail(crossing).log_softmax(1).repeat(8, 1)
        return nn.functional.kl_div(ones, wanted, log_target=True, reduction="batchmean").item()

    plain = AnalogBottleneck(bottleneck, channel_uses=30, snr_db=5.0)
    plain.radio_channel = analog.radio_channel
    assert loss(analog) < 0.97 * loss(plain)
    assert analog.modulate(crossing).abs().square().mean().item() == pytest.approx(1, rel=0.2)
    assert all(torch.equal(value, weights[name]) for name, value in bottleneck.tail.state_dict().items())
    assert not analog.tail.training


def test_what_does_not_fit_is_refused(bottleneck, crossing):
    analog = AnalogBottleneck(bottleneck, channel_uses=30)
    with pytest.raises(CodecError, match=r"sends \(N, 30\) symbols; got \(1, 29\)"):
        analog.demodulate(torch.zeros(1, 29, dtype=torch.complex64), 1.0)
    with pytest.raises(CodecError, match="at least one use"):
        AnalogBottleneck(bottleneck, channel_uses=0)
    with pytest.raises(CodecError, match="this bottleneck carries"):
        analog.modulate(crossing[:, :4])


def test_coefficients_that_moved():
    before, now = np.zeros((2, 3, 4)), np.zeros((2, 3, 4))
    now[0, 1, 2], now[1] = 2.0, 1.0
    assert moved(before, now) == 6.0
    assert moved(now, now) == 0.0


class Tokens(nn.Module):
    """A transformer's shape: tokens with a class token before those of an image."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 5)

    def forward(self, tokens):
        return self.second(self.first(tokens).tanh().mean(1))


def test_tokens_cross_as_symbols():
    torch.manual_seed(0)
    tokens = [torch.randn(1, 17, 6) for _ in range(12)]
    bottleneck = Bottleneck.fit(Tokens().eval(), (tokens[0],), split="first", images=tokens)
    analog = AnalogBottleneck(bottleneck, channel_uses=17 * 4, snr_db=60.0)
    (sent,) = analog.head(tokens[0])
    (received,) = analog.demodulate(analog.modulate(sent), 1e-6)
    assert error(bottleneck, sent, received) < 1e-3 * variances(bottleneck.latents).sum()
