"""The range of each output channel's weights: least error, and no sum that saturates on plain AVX2.

May import: of this part ``preparation``.

Without VNNI, ONNX Runtime adds the products of two neighbouring 8-bit activations and weights in 16 bits, where
255·127 + 255·127 saturates. Its quantiser's answer, ``reduce_range``, is weights of 7 bits: it doubles every rounding
error. Here a channel's scale is chosen so that two neighbouring weights of one sign never exceed 128 together:
255·128 < 2¹⁵. The largest weights of a channel are seldom neighbours, so this costs next to nothing, and machines with
and without VNNI compute the same, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from adaedge.levels.precision.preparation import weight_of

_LARGEST = 127
# A range somewhat smaller or larger than the greatest weight often rounds all weights of a channel better.
_FACTORS = np.linspace(0.8, 1.6, 81, dtype=np.float32)
_TINY = 1e-12


def weight_ranges(graph: ir.Graph) -> dict[str, tuple[int, npt.NDArray[Any]]]:
    """Weight → (axis of its output channels, the value that 127 stands for in each of them)."""
    found = {}
    for node in graph:
        weight = weight_of(node)
        if weight is not None and weight.const_value is not None:
            axis = _channel_axis(node)
            rows = np.moveaxis(weight.const_value.numpy(), axis, 0)
            exact = node.op_type == "Conv" and rows.shape[1] == 1  # depthwise kernels add in 32 bits
            found[str(weight.name)] = (axis, least_error(rows, 0.0 if exact else neighbours(rows)))
    return found


def _channel_axis(node: ir.Node) -> int:
    transposed = node.attributes.get_int("transB", 0)
    return 0 if node.op_type == "Conv" or transposed else 1


def neighbours(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The greatest sum of two weights of one sign that are multiplied side by side, for each channel.

    Args:
        rows: weights, output channels first. A convolution's are laid out with its input channels last, or before its
            kernel, depending on what ONNX Runtime makes of the graph; the greater of both is taken.

    Example:
        >>> neighbours(np.array([[3.0, 4.0, -5.0, 2.0], [1.0, 0.0, -4.0, -5.0]])).tolist()
        [7.0, 9.0]
    """
    layouts = [rows.reshape(len(rows), -1), np.moveaxis(rows, 1, -1).reshape(len(rows), -1)]
    sums = []
    for layout in layouts[: 1 if rows.ndim == 2 else 2]:
        pairs = np.pad(layout, ((0, 0), (0, layout.shape[1] % 2))).reshape(len(rows), -1, 2)
        sums += [pairs.clip(0).sum(2).max(1), -pairs.clip(None, 0).sum(2).min(1)]
    greatest: npt.NDArray[Any] = np.max(sums, 0)
    return greatest


def least_error(rows: npt.NDArray[Any], least: npt.NDArray[Any] | float) -> npt.NDArray[Any]:
    """The range, not below ``least``, whose 255 steps are nearest to each channel's weights in the mean square.

    Example:
        >>> float(least_error(np.array([[127.0, 63.0, 1.0]], np.float32), 0.0)[0])
        127.0
    """
    flat = rows.reshape(len(rows), -1).astype(np.float32)
    start = np.maximum(np.abs(flat).max(1), np.maximum(least, _TINY)).astype(np.float32)
    best: npt.NDArray[Any] = start
    error = np.full(len(flat), np.inf, np.float32)
    for factor in _FACTORS:
        span = np.maximum(start * factor, least).astype(np.float32)
        step = (span / _LARGEST)[:, None]
        rounded = flat / step
        np.rint(rounded, out=rounded).clip(-_LARGEST, _LARGEST, out=rounded)
        rounded *= step
        rounded -= flat
        here = np.einsum("ck,ck->c", rounded, rounded)
        best, error = np.where(here < error, span, best), np.minimum(here, error)
    return best
