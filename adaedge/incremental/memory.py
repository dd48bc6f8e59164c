"""What computing only what changed holds between frames, beside what computing at all holds at once.

May import: ``graph``, ``stream``; of this part ``nodes``, ``operators``, ``planner``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import fx, nn

from adaedge.graph.capture import Capture, capture
from adaedge.graph.signature import Signature
from adaedge.incremental.nodes import name_of
from adaedge.incremental.operators import UNARY
from adaedge.incremental.planner import planned_of
from adaedge.stream.incremental import Held

_IN_PLACE = UNARY | {"view", "reshape", "_unsafe_view", "flatten", "unflatten", "permute", "transpose", "expand"}


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory that a network's activations take.

    Attributes:
        cache_bytes: what a stream holds between frames.
        peak_bytes: of a dense run, the most that is alive at once: each operator's inputs and output, and what later
            ones need; what an operator can write in place, or only looks at otherwise, counts once.
        macs: multiply-accumulates.
        partial_macs: of these, those in segments that can be computed in part.
    """

    cache_bytes: int
    peak_bytes: int
    macs: int
    partial_macs: int

    @property
    def ratio(self) -> float:
        """The cache against the peak."""
        return self.cache_bytes / max(1, self.peak_bytes)

    @classmethod
    def of(cls, net: nn.Module, signature: Signature) -> Memory:
        """The memory of a network.

        Args:
            net: nothing of it is changed.
            signature: the example call.

        Raises:
            CaptureError: if it cannot be captured, or computes in numbers that are not held between frames.

        Example:
            >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)).eval()
            >>> found = Memory.of(net, Signature.of((torch.zeros(1, 3, 64, 64),), {}))
            >>> found.cache_bytes == 64 * 64 * 4 * (3 + 4), found.peak_bytes == 64 * 64 * 4 * (8 + 4)
            (True, True)
        """
        found = capture(net, signature, dynamic=False)
        plan = planned_of(found).plan
        return cls(sum(map(_held_bytes, plan.held)), peak_bytes(found), plan.macs, plan.partial_macs)


def peak_bytes(found: Capture) -> int:
    """The most bytes of activations that are alive at once, see `Memory`."""
    steps = [*found.graph.graph.find_nodes(op="placeholder"), *found.liveness.steps]
    last = {node: at for at, step in enumerate(steps) for node in step.all_input_nodes}
    last |= dict.fromkeys(found.graph.graph.output_node().all_input_nodes, len(steps))
    alive: dict[fx.Node, int] = {}
    peak = 0
    for at, node in enumerate(steps):
        made = _node_bytes(node)
        taken = [source for source in node.all_input_nodes if source in alive]
        if name_of(node) in _IN_PLACE and len(taken) == 1 and last[taken[0]] <= at:
            made -= min(made, alive[taken[0]])  # it takes its input's place
        peak = max(peak, sum(alive.values()) + made)
        for source in taken:
            if last[source] <= at:
                del alive[source]
        alive[node] = _node_bytes(node)
    return peak


def _node_bytes(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.numel() * value.element_size() if isinstance(value, torch.Tensor) else 0


def _held_bytes(held: Held) -> int:
    size: int = getattr(torch, held.dtype).itemsize
    return math.prod(held.shape) * size
