import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Bottleneck, Splittable
from adaedge.errors import CodecError, PayloadError, SplitError
from adaedge.payload.latent import compress


def network(inner=8):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, inner, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(inner, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1024, 10),
    ).eval()


def images(count, seed=0):
    """Smooth random pictures: what a network sees is correlated between neighbours."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.randn(count, 1, 3, 6, 6, generator=generator)
    return [nn.functional.interpolate(image, (32, 32), mode="bicubic") for image in small]


@pytest.fixture(scope="module")
def net():
    net = network()
    for parameter in net[5].parameters():
        parameter.data *= 8  # decided predictions, as those of a trained network
    return net


@pytest.fixture(scope="module")
def fitted(net):
    return Bottleneck.fit(net, (images(1)[0],), split="1", images=images(24))


@pytest.fixture
def bottleneck(fitted):
    fitted.rate = fitted.rates[-1]
    return fitted


def test_rates_are_in_ascending_bytes_and_descending_loss(net, bottleneck):
    assert list(bottleneck.rates) == list(range(10))
    lengths, losses = [], []
    for rate in bottleneck.rates:
        bottleneck.rate = rate
        with torch.no_grad():
            pairs = [(net(image).log_softmax(1), bottleneck(image).log_softmax(1)) for image in images(20, seed=1)]
        losses.append(np.mean([nn.functional.kl_div(b, a, log_target=True, reduction="sum").item() for a, b in pairs]))
        lengths.append(np.mean([len(bottleneck.compress(*bottleneck.head(image))) for image in images(20, seed=1)]))
    assert (np.diff(lengths) > 0).all()
    assert losses[-1] < losses[6] < losses[3] <= losses[0]
    assert losses[-1] < 0.15


def test_forward_is_the_network_with_the_bottleneck_inside(bottleneck):
    for rate in (0, 4, 9):
        bottleneck.rate = rate
        with torch.no_grad():
            features = bottleneck.head(images(1, seed=2)[0])
            sent = bottleneck.decompress(bottleneck.compress(*features))
            assert torch.equal(bottleneck(images(1, seed=2)[0]), bottleneck.tail(*sent))
            assert [feature.shape for feature in sent] == [feature.shape for feature in features]


def test_torch_and_numpy_send_the_same_bytes(bottleneck):
    (feature,) = bottleneck.head(images(1, seed=3)[0])
    expected = compress(bottleneck.latents, 9, [feature.detach().numpy()])
    assert bottleneck.compress(feature) == expected
    assert bottleneck.compress(feature.contiguous(memory_format=torch.channels_last)) == expected
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert bottleneck.compress(feature) == expected
    finally:
        torch.set_num_threads(threads)


def test_any_rate_decodes_whatever_is_set(bottleneck):
    feature = bottleneck.head(images(1)[0])
    bottleneck.rate = 2
    data, expected = bottleneck.compress(*feature), bottleneck.decompress(bottleneck.compress(*feature))[0]
    bottleneck.rate = 6
    assert torch.equal(bottleneck.decompress(data)[0], expected)


def test_predicted_rate_is_the_payload(bottleneck):
    features = [bottleneck.head(image) for image in images(20, seed=4)]
    predicted = np.mean([bottleneck.predicted_bytes(*feature) for feature in features])
    assert predicted == pytest.approx(np.mean([len(bottleneck.compress(*feature)) for feature in features]), rel=0.02)


def test_what_the_network_ignores_is_not_sent(net):
    """The metric is the prediction's: a channel that nothing reads costs no bits, however loud it is."""
    deaf = network()
    deaf.load_state_dict(net.state_dict())
    deaf[2].weight.data[:, 4:] = 0
    plain = Bottleneck.fit(deaf, (images(1)[0],), split="1", images=images(24), rates=6)
    deaf[0].weight.data[4:] *= 4
    loud = Bottleneck.fit(deaf, (images(1)[0],), split="1", images=images(24), rates=6)
    lengths = [np.mean([len(b.compress(*b.head(image))) for image in images(10)]) for b in (plain, loud)]
    assert lengths[1] < 2 * lengths[0]


def test_nothing_of_the_network_changes(net):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    Bottleneck.fit(net, (images(1)[0],), split="1", images=images(4), rates=6)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())


def test_the_same_images_give_the_same_bottleneck(net, bottleneck):
    again = Bottleneck.fit(Splittable(net, (images(1)[0],)), (), split="1", images=iter(images(24)))
    assert again.latents.fingerprint == bottleneck.latents.fingerprint


class Two(nn.Module):
    """Two tensors cross between ``first`` and ``second``."""

    def __init__(self):
        super().__init__()
        self.stem, self.first = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)
        self.second = nn.Linear(4 + 6, 5)

    def forward(self, image):
        early = self.stem(image).relu()
        late = self.first(early)
        return self.second(torch.cat([early.mean((2, 3)), late.mean((2, 3))], 1))


def test_several_tensors_share_one_grid():
    net = Two().eval()
    bottleneck = Bottleneck.fit(net, (images(1)[0],), split="first", images=images(12))
    features = bottleneck.head(images(1)[0])
    assert [tuple(feature.shape) for feature in features] == [(1, 4, 16, 16), (1, 6, 8, 8)]
    assert [tuple(feature.shape) for feature in bottleneck.decompress(bottleneck.compress(*features))] == [
        (1, 4, 16, 16),
        (1, 6, 8, 8),
    ]


def test_tokens_have_no_patches():
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0, batch_first=True)
    net = nn.Sequential(nn.Linear(12, 16), layer, nn.Linear(16, 16)).eval()
    tokens = [torch.randn(1, 9, 12) for _ in range(10)]
    bottleneck = Bottleneck.fit(net, (tokens[0],), split="0", images=tokens)
    assert bottleneck.latents.layout.grid == (9,)
    with torch.no_grad():
        found = nn.functional.cosine_similarity(bottleneck(tokens[0]), net(tokens[0]), dim=-1)
    assert found.mean() > 0.95


def test_batches_are_one_stream(bottleneck):
    batch = torch.cat(images(3, seed=5))
    (found,) = bottleneck.decompress(bottleneck.compress(*bottleneck.head(batch)))
    single = [bottleneck.decompress(bottleneck.compress(*bottleneck.head(image)))[0] for image in images(3, seed=5)]
    assert torch.allclose(found, torch.cat(single), atol=0.05 * float(found.abs().max()))


def test_what_cannot_be_is_refused(net, bottleneck):
    with pytest.raises(CodecError, match="rates are 0 to 9; got 10"):
        bottleneck.rate = 10
    with pytest.raises(CodecError, match="no images came"):
        Bottleneck.fit(net, (images(1)[0],), split="1", images=[])
    with pytest.raises(SplitError, match="no split point"):
        Bottleneck.fit(net, (images(1)[0],), split="nowhere", images=images(1))
    with pytest.raises(PayloadError, match="truncated payload"):
        bottleneck.decompress(b"AB")
    with pytest.raises(CodecError, match=r"carries float32 \('N', 8, 16, 16\)"):
        bottleneck.compress(torch.zeros(1, 8, 16, 15))
