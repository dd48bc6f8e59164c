"""Nodes of a captured graph: their names, sizes and arguments, and what one may depend on.

May import: ``stream``.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from adaedge.stream.incremental.reach import Reaches

Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Local:
    """An operator whose output depends on a neighbourhood of its inputs.

    Attributes:
        axes: of the output, which of its dimensions those are that the inputs' axes became.
        reaches: input → along each axis. An input that is not here is taken as a whole.
    """

    axes: Axes
    reaches: Mapping[fx.Node, Reaches]


def name_of(node: fx.Node) -> str:
    """The operator's name without its overload."""
    if node.target is operator.getitem:
        return "getitem"
    return str(getattr(node.target, "_opname", None) or getattr(node.target, "__name__", node.target))


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The shape of a node's tensor; of the first of several."""
    value = node.meta.get("val")
    if isinstance(value, tuple | list):
        value = value[0]
    return tuple(int(size) for size in value.shape) if isinstance(value, torch.Tensor) else ()


def argument(node: fx.Node, place: int, default: Any) -> Any:
    """The positional argument at a place."""
    return node.args[place] if len(node.args) > place else default


def dim(node: fx.Node, place: int, rank: int, default: int = -1) -> int:
    """The dimension that an argument names, of a tensor of so many."""
    given: Any = argument(node, place, node.kwargs.get("dim", default))
    return int(given) % rank


def several(value: Any, count: int) -> tuple[int, ...]:
    """A number for each axis, of one or as many."""
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    return values * count if len(values) == 1 else values
