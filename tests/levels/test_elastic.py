"""Elastic: nested widths on one memory (laws 2 and 3)."""

import copy
import gc
import itertools

import pytest
import timm
import torch
from torch import nn

from adaedge import Elastic, Splittable
from adaedge.energy import ComputePower
from adaedge.errors import LevelError, ModelError
from adaedge.levels import L2, Taylor
from adaedge.levels.masks import masking

WIDTHS = (1.0, 0.75, 0.5, 0.25)


def convolutional():
    """A residual network with batch-norm, a depthwise convolution, squeeze and excitation, and a concatenation."""
    torch.manual_seed(0)
    return Mixed().eval()


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12), nn.SiLU())
        self.expand = nn.Sequential(nn.Conv2d(12, 20, 1, bias=False), nn.BatchNorm2d(20), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(20, 20, 3, 1, 1, groups=20), nn.BatchNorm2d(20), nn.ReLU6())
        self.squeeze, self.excite = nn.Conv2d(20, 5, 1), nn.Conv2d(5, 20, 1)
        self.project = nn.Sequential(nn.Conv2d(20, 12, 1, bias=False), nn.BatchNorm2d(12))
        self.left, self.right = nn.Conv2d(12, 8, 3, 1, 1), nn.Conv2d(12, 10, 1)
        self.merge = nn.Conv2d(18, 16, 1)
        self.classifier = nn.Sequential(nn.Linear(16 * 4, 11), nn.PReLU(11), nn.Linear(11, 5))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2.0)

    def forward(self, x):
        x = self.stem(x)
        y = self.depthwise(self.expand(x))
        y = y * torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        x = x + self.project(y)
        x = torch.relu(self.merge(torch.cat([self.left(x), self.right(x)], 1)))
        return self.classifier(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


@pytest.fixture(scope="module")
def image():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def elastic(image):
    return Elastic(convolutional(), (image,), WIDTHS)


def test_the_full_width_is_the_network_up_to_the_order_of_additions(elastic, image):
    torch.testing.assert_close(elastic(image), convolutional()(image), rtol=1e-4, atol=1e-5)


def test_wrapping_leaves_the_network_as_it_is(image):
    net = convolutional()
    before = copy.deepcopy(net.state_dict())
    Elastic(net, (image,), (0.5,))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_every_channel_but_the_classes_becomes_narrower(elastic):
    assert {group.name: group.size for group in elastic.groups} == {
        "stem.0": 12,
        "expand.0": 20,
        "squeeze": 5,
        "left": 8,
        "right": 10,
        "merge": 16,
        "classifier.0": 11,
    }
    assert elastic.skipped == {"classifier.2": "its channels are an output of the model"}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_level_keeps_the_slice_and_equals_the_masked_network(elastic, image, width):
    level, plain, full = elastic.level(width), elastic.extract(width), elastic.net.state_dict()
    index = elastic.indices(width)
    for name, tensor in plain.state_dict().items():
        expected = full[name]
        for dim, kept in enumerate(index.get(name, ())):
            expected = expected if kept is None else expected.index_select(dim, kept)
        assert torch.equal(tensor, expected), name
    with torch.no_grad(), masking(elastic.net, elastic.groups, elastic.kept(width)):
        masked = elastic.net(image)
    torch.testing.assert_close(level(image), masked, rtol=1e-4, atol=1e-5)
    assert torch.equal(level(image), plain(image))


def test_a_width_keeps_the_ceiling_of_its_fraction(elastic):
    assert elastic.kept(0.75) == {
        "stem.0": 9,
        "expand.0": 15,
        "squeeze": 4,
        "left": 6,
        "right": 8,
        "merge": 12,
        "classifier.0": 9,
    }
    assert elastic.extract(0.75).merge.in_channels == 14


def test_a_width_keeps_a_multiple_of_channels_where_one_is_given(image, tmp_path):
    elastic = Elastic(convolutional(), (image,), WIDTHS, multiple=8)
    assert elastic.kept(0.75) == {  # the nearest to 9, 15, 4, 6, 8, 12 and 9
        "stem.0": 8,
        "expand.0": 16,
        "squeeze": 5,
        "left": 8,
        "right": 8,
        "merge": 16,
        "classifier.0": 8,
    }
    assert elastic.kept(1.0) == {group.name: group.size for group in elastic.groups}
    with torch.no_grad(), masking(elastic.net, elastic.groups, elastic.kept(0.5)):
        torch.testing.assert_close(elastic.level(0.5)(image), elastic.net(image), rtol=1e-4, atol=1e-5)
    elastic.save(tmp_path / "elastic.safetensors")
    again = Elastic.load(tmp_path / "elastic.safetensors", convolutional(), (image,))
    assert again.kept(0.75) == elastic.kept(0.75)
    by_sensitivity = Elastic(convolutional(), (image,), WIDTHS, multiple=8, sensitivity=[image])
    assert {count % 8 for name, count in by_sensitivity.kept(0.5).items() if name in ("expand.0", "merge")} == {0}
    with pytest.raises(LevelError, match="multiples of at least 1; got 0"):
        Elastic(convolutional(), (image,), WIDTHS, multiple=0)


def test_heads_are_not_kept_in_multiples_of_channels():
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, embed_dim=64, num_heads=16, num_classes=3)
    elastic = Elastic(net.eval(), (torch.rand(1, 3, 32, 32),), (1.0, 0.7), multiple=16)
    assert elastic.kept(0.7) == {"blocks.0.attn": 12, "blocks.0.mlp.fc1": 176}  # of 16 heads and 256 channels


class Writing(nn.Module):
    """Writes to the list it is called with, and hands a view of a parameter on."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)
        self.shift, self.passed = nn.Parameter(torch.rand(1, 8)), nn.Identity()

    def forward(self, both, offset):
        both[0] = self.first(both[0])
        return self.second(both[0] + self.passed(self.shift.expand(len(both[0]), -1)) + offset.pop("by"))


def test_a_model_may_write_to_what_it_is_called_with():
    example, named = ([torch.rand(2, 4)],), {"offset": {"by": torch.rand(1)}}
    elastic = Elastic(Writing().eval(), example, (1.0, 0.5), kwargs=named)
    assert elastic.macs(0.5) == elastic.macs(1.0) / 2 == 2 * (16 + 8)
    assert elastic.choose(latency_s=60.0) == 1.0  # which runs it again and again
    assert example[0][0].shape == (2, 4)
    assert list(named["offset"]) == ["by"]


def test_narrower_levels_are_nested_in_wider_ones(elastic):
    for wide, narrow in itertools.pairwise(WIDTHS):
        more, fewer = elastic.indices(wide), elastic.indices(narrow)
        for name, index in fewer.items():
            for dim, kept in enumerate(index):
                above = more.get(name, (None,) * len(index))[dim]
                assert kept is None or above is None or set(kept.tolist()) <= set(above.tolist())


def test_the_most_important_channels_stay(image):
    net = convolutional()
    strong = torch.tensor([3, 7, 11])
    with torch.no_grad():
        for parameter, dim in ((net.stem[0].weight, 0), (net.stem[1].weight, 0), (net.expand[0].weight, 1)):
            parameter.index_copy_(dim, strong, parameter.index_select(dim, strong) * 50)
    elastic = Elastic(net, (image,), (0.25,))
    kept = {tuple(kernel.flatten().tolist()) for kernel in elastic.extract(0.25).stem[0].weight}
    assert kept == {tuple(kernel.flatten().tolist()) for kernel in net.stem[0].weight[strong]}


def test_all_widths_stand_in_the_memory_of_one(elastic):
    tensors = [p for width in WIDTHS for p in elastic.level(width).parameters()]
    assert {t.untyped_storage().data_ptr() for t in tensors} == {
        p.untyped_storage().data_ptr() for p in elastic.parameters()
    }


def test_an_extracted_level_has_tensors_of_its_own_and_is_plain(elastic, image):
    plain = elastic.extract(0.5)
    assert type(plain) is Mixed
    ours = {p.untyped_storage().data_ptr() for p in elastic.parameters()}
    assert not ours & {p.untyped_storage().data_ptr() for p in plain.parameters()}
    before = elastic.level(0.5)(image)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.zero_()
    assert torch.equal(elastic.level(0.5)(image), before)
    plain(image).sum().backward()
    assert all(parameter.grad is None for parameter in elastic.parameters())


@pytest.mark.parametrize("width", WIDTHS)
def test_a_step_through_any_level_moves_the_one_weight_set(image, width):
    elastic = Elastic(convolutional(), (image,), WIDTHS)
    plain = elastic.extract(width)
    elastic.width = width
    for net in (elastic, plain):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(image).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(elastic(image), plain(image), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dict(elastic.extract(width).state_dict()), dict(plain.state_dict()))


def test_gradients_of_several_levels_add_up(image):
    elastic = Elastic(convolutional(), (image,), (1.0, 0.5))
    found = []
    for widths in ((1.0,), (0.5,), (1.0, 0.5)):
        elastic.zero_grad()
        for width in widths:
            elastic.level(width)(image).square().mean().backward()
        found.append([parameter.grad.clone() for parameter in elastic.parameters()])
    for wide, narrow, both in zip(*found, strict=True):
        torch.testing.assert_close(wide + narrow, both)


def test_each_level_has_its_own_statistics(image):
    elastic = Elastic(convolutional(), (image,), (1.0, 0.5))
    full = copy.deepcopy(elastic.net.state_dict())
    batches = [torch.rand(8, 3, 16, 16) for _ in range(3)]
    elastic.recalibrate(batches)
    assert all(torch.equal(full[name], tensor) for name, tensor in elastic.net.state_dict().items())
    features = torch.cat([elastic.level(0.5).stem[0](batch) for batch in batches])
    torch.testing.assert_close(elastic.level(0.5).stem[1].running_mean, features.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert not elastic.level(0.5).training


def test_save_and_load_give_every_level_back(tmp_path, image):
    elastic = Elastic(convolutional(), (image,), WIDTHS, sensitivity=[image])
    elastic.recalibrate([torch.rand(8, 3, 16, 16)])
    with torch.no_grad():
        for parameter in elastic.parameters():
            parameter.mul_(1.01)
    elastic.save(tmp_path / "elastic.safetensors")
    again = Elastic.load(tmp_path / "elastic.safetensors", convolutional(), (image,))
    for width in WIDTHS:
        assert torch.equal(elastic.level(width)(image), again.level(width)(image))


def test_a_file_that_is_no_elastic_or_another_ones_is_refused(tmp_path, image, elastic):
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(ModelError, match=r"plain.safetensors holds no Elastic; write one with `Elastic.save`"):
        Elastic.load(tmp_path / "plain.safetensors", convolutional(), (image,))
    elastic.save(tmp_path / "elastic.safetensors")
    with pytest.raises(ModelError, match="was written of a network with other channel groups"):
        Elastic.load(
            tmp_path / "elastic.safetensors", nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), (torch.rand(1, 4),)
        )


def test_it_can_be_converted_and_copied(image):
    elastic = Elastic(convolutional(), (image,), (1.0, 0.5))
    elastic.width = 0.5
    expected = elastic(image)
    torch.testing.assert_close(elastic.double()(image.double()).float(), expected, rtol=1e-4, atol=1e-5)
    elastic.float()
    twin = copy.deepcopy(elastic)
    with torch.no_grad():
        for parameter in elastic.parameters():
            parameter.zero_()
    torch.testing.assert_close(twin(image), expected)
    storages = {p.untyped_storage().data_ptr() for p in twin.parameters()}
    assert {p.untyped_storage().data_ptr() for p in twin.level(0.5).parameters()} == storages


def test_the_original_can_be_deleted(image):
    net = convolutional()
    elastic = Elastic(net, (image,), (1.0, 0.5))
    expected = elastic(image)
    del net
    gc.collect()
    assert torch.equal(elastic(image), expected)


def test_splittable_cuts_the_width_that_is_set(elastic, image):
    elastic.width = 0.5
    split = Splittable(elastic, (image,))
    elastic.width = 1.0
    head, tail = split.at("merge")
    assert torch.equal(tail(*head(image)), elastic.level(0.5)(image))
    assert head(image)[0].shape[1] == 8


def test_taylor_orders_by_what_the_prediction_depends_on(image):
    net = convolutional()
    with torch.no_grad():
        net.merge.weight[4:] = 0
        net.merge.bias[4:] = -1  # dead behind the ReLU: whatever reads them, nothing depends on them
        net.classifier[0].weight[:, 16:] *= 100  # ... and L2 would keep them for this
    kept = {}
    for importance in (L2(), Taylor([image, image.flip(0)])):
        elastic = Elastic(net, (image,), (0.25,), importance=importance)
        kept[type(importance)] = (elastic.extract(0.25).merge.bias >= 0).sum() + (
            elastic.extract(0.25).merge.bias > -1
        ).sum()
    weights = elastic.extract(0.25).merge.weight
    assert weights.flatten(1).any(1).all()


def test_sensitivity_spares_what_the_output_depends_on(image):
    net = convolutional()
    with torch.no_grad():
        net.merge.weight[:, 8:] *= 1e-3  # what `right` makes hardly matters
    uniform = Elastic(net, (image,), (0.5,))
    measured = Elastic(net, (image,), (0.5,), sensitivity=[image])
    assert measured.kept(0.5)["right"] < uniform.kept(0.5)["right"]
    total = sum(group.size for group in measured.groups)
    assert sum(measured.kept(0.5).values()) == -(-total // 2)
    wide, narrow = measured.kept(0.75), measured.kept(0.25)
    assert all(narrow[name] <= wide[name] for name in wide)


def test_a_budget_chooses_the_widest_level_within_it(image):
    elastic = Elastic(convolutional(), (image,), (1.0,))
    limit = elastic.macs(1.0) / 2
    width = elastic.choose(macs=limit)
    assert elastic.macs(width) <= limit < elastic.macs(width + 1 / 128)
    assert elastic.widths == (1.0, width)
    elastic.width = width
    assert elastic(image).shape == (2, 5)
    assert elastic.choose(latency_s=3600.0) == 1.0
    assert elastic.choose(energy_j=3600.0, power=ComputePower(busy_w=0.5)) == 1.0
    with pytest.raises(LevelError, match=r"no width costs at most 1 MACs; the narrowest costs"):
        elastic.choose(macs=1)
    with pytest.raises(LevelError, match="give one budget"):
        elastic.choose(macs=1, latency_s=1)
    with pytest.raises(LevelError, match="energy_j with the power"):
        elastic.choose(energy_j=1)


def test_a_width_that_is_not_there_is_refused(elastic):
    with pytest.raises(LevelError, match=r"no width 0.6; this network has 1, 0.75, 0.5, 0.25. Name it in `widths`"):
        elastic.width = 0.6
    with pytest.raises(LevelError, match=r"width is the fraction of channels kept, in \(0, 1\]; got 1.5"):
        Elastic(convolutional(), (torch.rand(1, 3, 16, 16),), (1.5,))
    with pytest.raises(ModelError, match=r"args is a tuple of the model's arguments, such as .image,.; got a Tensor"):
        Elastic(convolutional(), torch.rand(1, 3, 16, 16))
    with pytest.raises(LevelError, match="no channel group of this network can be narrowed"):
        Elastic(nn.Sequential(nn.Linear(4, 2)), (torch.rand(1, 4),))


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_real_networks(name):
    image = torch.rand(1, 3, 64, 64)
    torch.manual_seed(0)
    net = timm.create_model(name).eval()
    elastic = Elastic(net, (image,), (1.0, 0.5))
    assert elastic.macs(0.5) < 0.4 * elastic.macs(1.0)
    torch.testing.assert_close(elastic(image), net(image), rtol=1e-3, atol=1e-4)
    assert torch.equal(elastic.level(0.5)(image), elastic.extract(0.5)(image))
