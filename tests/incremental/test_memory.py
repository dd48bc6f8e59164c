"""What is held, beside what is alive at once: counted by hand."""

import pytest
import torch
from torch import nn

from adaedge.graph.capture import capture
from adaedge.graph.signature import Signature
from adaedge.incremental.memory import Memory, peak_bytes


class Shortcut(nn.Module):
    """The input of the second convolution lives on until it is added."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        x = self.a(x).relu()
        return self.b(x).relu() + x


@pytest.mark.parametrize(
    ("net", "planes"),
    [
        (nn.Conv2d(1, 3, 1), 1 + 3),
        (nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Sigmoid()), 1 + 3),  # written in place
        (nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 5, 1), nn.Conv2d(5, 1, 1)), 3 + 5),
        (Shortcut(), 2 + 2 + 2),  # both operands and the sum
    ],
)
def test_the_peak_is_what_inputs_output_and_later_operators_need(net, planes):
    example = torch.zeros(1, 1, 16, 16)
    found = capture(net.eval(), Signature.of((example,), {}), dynamic=False)
    assert peak_bytes(found) == planes * 4 * 16 * 16


def test_a_cache_is_all_that_is_held():
    found = Memory.of(Shortcut().eval(), Signature.of((torch.zeros(1, 1, 64, 64),), {}))
    assert found.cache_bytes == (1 + 2) * 4 * 64 * 64  # the input and the output: all of it is one segment
    assert found.ratio == 0.5
    assert found.partial_macs == found.macs
