"""Stable, unique names for the places of a captured graph.

May import: ``operating_point``. A place where modules end bears the path of the outermost; any other place is named
by the innermost module around it and the operator before it, counted within that module.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence

from torch import fx

from adaedge.operating_point import INPUT, OUTPUT

Names = tuple[str, tuple[str, ...]]


def name_places(steps: Sequence[fx.Node]) -> dict[int, Names]:
    """Place → its name and aliases, for place -1 (``input``) to the last (``output``)."""
    stacks = _stacks(steps)
    ends: dict[int, list[str]] = {}
    for path, place in {path: place for place, stack in enumerate(stacks) for path in stack if path}.items():
        ends.setdefault(place, []).append(path)
    names: dict[int, Names] = {}
    counts: Counter[str] = Counter()
    for place, (node, stack) in enumerate(zip(steps, stacks, strict=True)):
        own = f"{stack[-1] if stack else ''}:{_operator(node)}"
        nested = sorted(ends.get(place, []), key=lambda path: (stack.index(path), path))
        outermost, *others = [_free(path) for path in nested] or [f"{own}_{counts[own]}" if counts[own] else own]
        names[place] = (outermost, tuple(others))
        counts[own] += not isinstance(node.meta.get("val"), tuple | list)  # only its items can be crossed after
    last = len(steps) - 1
    ended = [name for name in _flat(names.get(last)) if ":" not in name] if steps else []
    return {-1: (INPUT, ())} | names | {last if steps else 0: (OUTPUT, tuple(ended))}


def _flat(names: Names | None) -> tuple[str, ...]:
    return (names[0], *names[1]) if names else ()


def _free(path: str) -> str:
    """``input`` and ``output`` mean the ends, so a module of that name gives way."""
    return f"{path}@0" if path in (INPUT, OUTPUT) else path


def _stacks(steps: Sequence[fx.Node]) -> list[tuple[str, ...]]:
    """The calls around each node, outermost first; a node without a record belongs where its predecessor does."""
    stacks: list[tuple[str, ...]] = []
    for node in steps:
        entries = node.meta.get("nn_module_stack") or {}
        calls = tuple(_call(str(key), entry) for key, entry in entries.items())
        known = calls and calls[0] == ""
        stacks.append(calls if known else (stacks[-1] if stacks else ("",)))
    return stacks


def _call(key: str, entry: tuple[str, object]) -> str:
    """``act@1`` for the second call of ``act``: export writes the number behind the entry's key."""
    _, at, number = key.rpartition("@")
    return f"{entry[0]}@{number}" if at and number.isdigit() and "@" not in entry[0] else entry[0]


def _operator(node: fx.Node) -> str:
    if node.target is operator.getitem:
        return _operator(node.all_input_nodes[0])
    name = str(getattr(node.target, "_opname", None) or getattr(node.target, "__name__", node.target))
    return "batch_norm" if "batch_norm" in name else name.strip("_")
