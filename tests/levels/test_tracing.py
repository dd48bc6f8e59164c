"""Which channel groups are found, and what is said of the others."""

import pytest
import torch
import transformers
from torch import nn

from adaedge import Elastic
from adaedge.levels.group_search import find, trace
from adaedge.levels.masks import masking


def image():
    return (torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1)),)


class Grouped(nn.Module):
    """A bottleneck whose middle convolution works on four groups of channels."""

    def __init__(self, middle=24):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.conv1, self.norm1 = nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, middle, 3, padding=1, groups=4), nn.BatchNorm2d(middle)
        self.squeeze, self.excite = nn.Conv2d(middle, 6, 1), nn.Conv2d(6, middle, 1)
        self.conv3, self.head = nn.Conv2d(middle, 8, 1), nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        y = torch.relu(self.norm1(self.conv1(x)))
        y = torch.relu(self.norm2(self.conv2(y)))
        y = y * torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return self.head((x + self.conv3(y)).mean((2, 3)))


@pytest.mark.parametrize("middle", [16, 24])
def test_the_channels_around_a_grouped_convolution_are_its_groups(middle):
    torch.manual_seed(0)
    elastic = Elastic(Grouped(middle).eval(), image(), (1.0, 0.75, 0.5, 0.25))
    assert elastic.kept(1.0) == {"stem": 8, "conv1": 4, "squeeze": 6}
    for width, groups in ((0.75, 3), (0.5, 2), (0.25, 1)):
        narrow = elastic.extract(width).eval()
        assert narrow.conv2.weight.shape == (middle // 4 * groups, 4, 3, 3)
        assert (narrow.conv2.groups, narrow.conv2.in_channels) == (groups, 4 * groups)
        with torch.no_grad(), masking(elastic.net, elastic.groups, elastic.kept(width)):
            expected = elastic.net(*image())
        with torch.no_grad():
            torch.testing.assert_close(elastic.level(width)(*image()), expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(narrow(*image()), elastic.level(width)(*image()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("norm", "name"), [(nn.LayerNorm([8, 12, 12]), "LayerNorm"), (nn.GroupNorm(2, 8), "GroupNorm")]
)
def test_a_norm_over_channels_keeps_them_whole(norm, name):
    net = nn.Sequential(nn.Conv2d(3, 8, 1), norm, nn.Conv2d(8, 8, 1), nn.Conv2d(8, 2, 1)).eval()
    elastic = Elastic(net, image(), (1.0, 0.5))
    assert [group.name for group in elastic.groups] == ["2"]
    assert elastic.skipped == {
        "0": f"it crosses a {name}, whose statistics change with the width",
        "3": "its channels are an output of the model",
    }


def test_hidden_layers_are_found_where_torch_pruning_fails():
    class Choosy(nn.Sequential):
        """Runs without gradients only: torch-pruning, which follows gradients, cannot trace it."""

        def forward(self, x):
            if torch.is_grad_enabled():
                raise RuntimeError("no training, please")
            return super().forward(x)

    torch.manual_seed(0)
    net = Choosy(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4)).eval()
    groups, skipped = find(net, (torch.rand(1, 4),), {})
    assert [(group.name, group.size) for group in groups] == [("0", 16)]
    assert skipped == {"network": "torch-pruning cannot follow it: RuntimeError: no training, please"}
    elastic = Elastic(net, (torch.rand(1, 4),), (1.0, 0.5))
    assert elastic.kept(0.5) == {"0": 8}


def test_a_search_without_end_is_ended():
    """Queries that share keys make torch-pruning's own walk endless."""
    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=24, num_hidden_layers=1, num_attention_heads=8,
        num_key_value_heads=4,
    )  # fmt: skip
    net = transformers.LlamaModel(config).eval()
    groups, skipped = trace(net, (), {"input_ids": torch.tensor([[3, 9, 14]]), "use_cache": False})
    assert "layers.0.mlp.gate_proj" in [group.name for group in groups]
    assert "it crosses a LlamaRMSNorm, whose statistics change with the width" in skipped.values()
