"""The batch-norms of a level beside those of the full width.

May import: ``errors``, ``levels``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from adaedge.errors import LevelError
from adaedge.levels import Elastic

BatchNorm = nn.modules.batchnorm._BatchNorm
Norms = dict[str, BatchNorm]


def norms_of(elastic: Elastic, width: float) -> Norms:
    """Name → batch-norm of a level, in the order of its modules.

    Raises:
        LevelError: if it has none.
    """
    norms = {name: norm for name, norm in elastic.level(width).named_modules() if _has_statistics(norm)}
    if not norms:
        raise LevelError(
            f"width {width:g} has no batch-norm, so nothing of it is its own: repairing it would change the full"
            " width. Train all widths together with `adaedge.distillation.Sandwich`."
        )
    return norms


def kept_of(elastic: Elastic, width: float) -> Callable[[str, Tensor], Tensor]:
    """The function that picks, of the full width's features at a named batch-norm, the channels that a level has."""
    positions = elastic.indices(width)

    def kept(name: str, features: Tensor) -> Tensor:
        chosen = positions.get(f"{name}.weight", (None,))[0]
        return features if chosen is None else features.index_select(1, chosen.to(features.device))

    return kept


@contextmanager
def record_activations(
    modules: Mapping[str, nn.Module], note: Callable[[str, Tensor], Any], *, inputs: bool
) -> Iterator[None]:
    """Call ``note(name, tensor)`` with what each module takes, just before it runs, or with what it returns."""

    def noted(name: str) -> Any:
        if inputs:
            return lambda _module, taken: note(name, taken[0])
        return lambda _module, _taken, returned: note(name, returned)

    hooks = [
        module.register_forward_pre_hook(noted(name)) if inputs else module.register_forward_hook(noted(name))
        for name, module in modules.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def statistics(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """The mean and the deviation that a batch-norm subtracts and divides by in evaluation mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, torch.sqrt(norm.running_var + norm.eps)


def set_statistics(norm: BatchNorm, mean: Tensor, deviation: Tensor) -> None:
    """Let a batch-norm subtract this mean and divide by this deviation in evaluation mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(deviation.square() - norm.eps)


def _has_statistics(module: nn.Module) -> TypeGuard[BatchNorm]:
    return isinstance(module, BatchNorm) and module.track_running_stats and module.affine
