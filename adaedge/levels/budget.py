"""The widest level within a budget.

May import: ``errors``, ``energy``, ``graph``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from adaedge.energy import ComputePower
from adaedge.errors import LevelError
from adaedge.graph.costs import counter
from adaedge.graph.signature import Signature

_STEPS = 128


def widest(cost: Callable[[float], float], budget: float, what: str) -> float:
    """The largest width, a multiple of 1/128, whose cost is within a budget.

    Args:
        cost: cost of a width; rises with it.
        budget: the limit.
        what: unit of both, for the error.

    Raises:
        LevelError: if even the narrowest costs more.

    Example:
        >>> widest(lambda width: width**2, 0.25, "MACs")
        0.5
    """
    low, high = 0, _STEPS
    if cost(1.0) <= budget:
        return 1.0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle / _STEPS) <= budget else (low, middle)
    if low == 0:
        raise LevelError(
            f"no width costs at most {budget:g} {what}; the narrowest costs {cost(1 / _STEPS):g}. Give a larger budget."
        )
    return low / _STEPS


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on the cost of a level for the example: one of these.

    Attributes:
        macs: multiply-accumulates.
        latency_s: seconds, measured in PyTorch on this machine.
        energy_j: joules: those seconds times ``power.busy_w``.
        power: what the processor draws; with ``energy_j`` only.

    Raises:
        LevelError: if not exactly one is given.
    """

    macs: float | None = None
    latency_s: float | None = None
    energy_j: float | None = None
    power: ComputePower | None = None

    def __post_init__(self) -> None:
        if [self.macs, self.latency_s, self.energy_j].count(None) != 2 or (self.energy_j is None) != (
            self.power is None
        ):
            raise LevelError("give one budget: macs, latency_s, or energy_j with the power that turns seconds into it")

    @property
    def limit(self) -> tuple[float, str]:
        """The figure and its unit."""
        named = ((self.macs, "MACs"), (self.latency_s, "s"), (self.energy_j, "J"))
        return next((figure, unit) for figure, unit in named if figure is not None)

    def cost(self, net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float:
        """What a network costs, in the budget's unit."""
        if self.macs is not None:
            return count_macs(net, args, kwargs)
        return time_s(net, args, kwargs) * (self.power.busy_w if self.power else 1.0)


def count_macs(net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Multiply-accumulates of one run. No parameter may need a gradient: PyTorch's counter trips over views of such."""
    signature = Signature.of(args, kwargs)
    call, named = signature.call(signature.tensors)
    with torch.no_grad(), counter() as flops:
        net(*call, **named)
    return int(flops.get_total_flops()) // 2


def time_s(net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], repetitions: int = 11) -> float:
    """Median seconds of one run in PyTorch on the device that the network is on, after a warm-up."""
    seconds, signature = [], Signature.of(args, kwargs)
    with torch.inference_mode():
        for turn in range(repetitions + 3):
            call, named = signature.call(signature.tensors)  # a model may write to the lists it is called with
            start = time.perf_counter()
            net(*call, **named)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn >= 3:
                seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
