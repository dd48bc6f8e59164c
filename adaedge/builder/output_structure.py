"""How a model nests its outputs, as the plain data that a bundle keeps.

May import: of ``bundle`` the ``structure``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from adaedge.bundle.structure import Structure

_CONSTANTS = (type(None), bool, int, float, str)


def structure_of(output: Any) -> Structure:
    """The structure of what a model returned; ``adaedge.bundle.structure`` says how it is written.

    Mappings (the outputs of transformers are some) and dataclasses are dictionaries, a named tuple is a tuple, and any
    other container that PyTorch flattens is a tuple of its parts.

    Args:
        output: tensors, in containers that PyTorch flattens; a bundle's outputs are the tensors in that order.

    Example:
        >>> structure_of({"logits": torch.zeros(1, 2), "hidden": (torch.zeros(1), torch.zeros(1)), "loss": None})
        {'dict': [['logits', 0], ['hidden', {'tuple': [1, 2]}], ['loss', {'constant': None}]]}
    """
    leaves = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]
    places: dict[int, list[int]] = {}
    for at, leaf in enumerate(leaves):
        places.setdefault(id(leaf), []).append(at)
    return _written(output, places)


def _written(value: Any, places: Mapping[int, list[int]]) -> Structure:
    if id(value) in places:
        return places[id(value)].pop(0)  # a tensor that is returned twice is two outputs
    if isinstance(value, _CONSTANTS):
        return {"constant": value}
    if isinstance(value, Mapping):
        return {"dict": [[_name(name), _written(one, places)] for name, one in value.items()]}
    if is_dataclass(value):
        named = [(field.name, getattr(value, field.name)) for field in fields(value)]
        return {"dict": [[name, _written(one, places)] for name, one in named]}
    kind = "list" if isinstance(value, list) else "tuple"
    parts, _ = pytree.tree_flatten(value, is_leaf=lambda part: part is not value)
    if len(parts) == 1 and parts[0] is value:
        return {"constant": str(value)}  # no container: what the capture took for a constant
    return {kind: [_written(one, places) for one in parts]}


def _name(name: Any) -> str | int:
    return name if isinstance(name, int) and not isinstance(name, bool) else str(name)
