"""Weights' ranges: sums that do not saturate, and rounding no worse than the plain range's."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

from adaedge.builder.subgraphs import export
from adaedge.levels.precision.preparation import prepared
from adaedge.levels.precision.quantisers import static, static_nodes
from adaedge.levels.precision.weights import least_error, neighbours, weight_ranges

# What two neighbouring activations of 255 may be multiplied by: 255 · 128 < 2¹⁵.
SAFE = 128

SHAPES = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 9)),
    st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 3), st.integers(1, 3)),
)
WEIGHTS = SHAPES.flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(-100, 100, width=32, allow_subnormal=False))
)


def rounded(rows, span):
    step = (span / 127).reshape(-1, *([1] * (rows.ndim - 1)))
    return np.clip(np.rint(rows / step), -127, 127)


@settings(max_examples=200, deadline=None)
@given(WEIGHTS)
def test_neighbours_never_saturate(rows):
    whole = rounded(rows, least_error(rows, neighbours(rows)))
    for layout in (whole, np.moveaxis(whole, 1, -1)):
        flat = layout.reshape(len(rows), -1)
        for left, right in zip(flat.T[::2], flat.T[1::2], strict=False):
            assert (np.abs(left.clip(0) + right.clip(0)) <= SAFE).all()
            assert (np.abs(left.clip(None, 0) + right.clip(None, 0)) <= SAFE).all()


@settings(max_examples=200, deadline=None)
@given(WEIGHTS)
def test_no_other_range_was_better_than_the_plain_one(rows):
    plain = np.maximum(np.abs(rows.reshape(len(rows), -1)).max(1), 1e-12)

    def error(span):
        step = (span / 127).reshape(-1, *([1] * (rows.ndim - 1)))
        return ((rounded(rows, span) * step - rows) ** 2).reshape(len(rows), -1).sum(1)

    assert (error(least_error(rows, 0.0)) <= error(plain) * 1.001 + 1e-9 * plain**2).all()


def test_a_grid_that_the_weights_lie_on_is_found():
    weights = np.array([[-87.0, 3.0, 41.0, 60.0, 1.0, 25.0, -9.0, 33.0, 80.0]], np.float32)  # steps of 1, not 87/127
    assert least_error(weights, 0.0)[0] == pytest.approx(127, rel=0.005)


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.full = nn.Conv2d(4, 6, 3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.linear = nn.Linear(6, 5)
        self.rows = nn.Linear(5, 7)

    def forward(self, x):
        x = self.depthwise(self.full(x)).flatten(2).transpose(1, 2)
        return self.rows(self.linear(x[:, 0])), self.linear(x)


def test_the_stored_weights_have_these_ranges():
    torch.manual_seed(0)
    net = Layers().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)  # neighbours are as large as can be
    fp32 = prepared(export(net, [torch.randn(1, 4, 5, 5)]))
    weights = weight_ranges(fp32.graph)
    spans = {name: (axis, len(span), float(span[0])) for name, (axis, span) in weights.items()}
    assert (spans["full.weight"][:2], spans["depthwise.weight"][:2]) == ((0, 6), (0, 6))
    assert spans["full.weight"][2] >= 2  # neighbours come to 2
    assert 1 <= spans["depthwise.weight"][2] < 2  # the kernel adds in 32 bits: nothing to be afraid of
    values = [*fp32.graph.inputs, *(value for node in fp32.graph for value in node.outputs)]
    overrides = {
        name: [{"axis": axis, "reduce_range": False, "rmin": -one, "rmax": one} for one in span]
        for name, (axis, span) in weights.items()
    }
    ranges = {str(value.name): (np.float32(-9), np.float32(9)) for value in values}
    stored = static(fp32, ranges, overrides, static_nodes(fp32.graph)).graph.initializers
    assert np.abs(stored["full.weight_quantized"].const_value.numpy()).max() <= SAFE // 2
    assert stored["depthwise.weight_quantized"].const_value.numpy().max() > SAFE // 2
    for name, (_, count, _) in spans.items():
        if f"{name}_quantized" in stored:
            value = stored[f"{name}_quantized"].const_value
            assert value.dtype == ir.DataType.INT8
            assert stored[f"{name}_scale"].const_value.size == count, name
