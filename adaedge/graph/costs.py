"""One instrumented run of a captured graph: the shape of every value and the MACs of every node.

May import: nothing of adaedge. PyTorch's flop counter counts what each operator really dispatches to; a
multiply-accumulate is two of its operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import fx
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, slots=True)
class Costs:
    """The shapes and MACs that one run showed.

    Attributes:
        macs: multiply-accumulates of each node.
        tensors: type and shape of each node that is a tensor.
    """

    macs: dict[fx.Node, int] = field(default_factory=dict)
    tensors: dict[fx.Node, tuple[torch.dtype, tuple[int, ...]]] = field(default_factory=dict)


def counter() -> FlopCounterMode:
    """PyTorch's flop counter, with the fused layers that it, or an older one, counts as free."""
    aten = torch.ops.aten
    mapping = {
        aten.lstm: _lstm_flops,
        aten.mkldnn_rnn_layer: _rnn_layer_flops,
        aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    }
    return FlopCounterMode(display=False, custom_mapping=mapping)


def _attention_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Scores are products of queries and keys, and weigh values; shapes are (…, length, dimension)."""
    return 2 * math.prod(query[:-1]) * (query[-1] * key[-2] + key[-2] * value[-1])


def _lstm_flops(sequence: Sequence[int], states: Any, weights: Sequence[Sequence[int]], *_: Any, **__: Any) -> int:
    """Every weight matrix meets every step of every row; a multiply-accumulate is two operations."""
    del states
    return 2 * math.prod(sequence[:-1]) * sum(math.prod(shape) for shape in weights if len(shape) == 2)


def _rnn_layer_flops(
    sequence: Sequence[int], from_input: Sequence[int], from_state: Sequence[int], *_: Any, **__: Any
) -> int:
    return _lstm_flops(sequence, None, (from_input, from_state))


def measure(module: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> Costs:
    """Run the graph once on these inputs."""
    flops = counter()
    meter = _Meter(module, flops)
    with torch.no_grad(), torch.random.fork_rng([]), flops:
        meter.run(*inputs)
    return meter.costs


@final
class _Meter(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, counter: FlopCounterMode) -> None:
        super().__init__(module)
        self.costs = Costs()
        self._counter = counter

    def run_node(self, n: fx.Node) -> Any:
        before = self._counter.get_total_flops()
        value = super().run_node(n)
        self.costs.macs[n] = (self._counter.get_total_flops() - before) // 2
        if isinstance(value, torch.Tensor):
            self.costs.tensors[n] = (value.dtype, tuple(value.shape))
        return value
