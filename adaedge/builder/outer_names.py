"""Names as the user's model has them: a captured one may be inside a `Preprocessed`.

May import: ``errors``, ``operating_point``, ``graph``; of this part ``frames``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from adaedge.builder.frames import PREFIX
from adaedge.errors import SplitError
from adaedge.graph import SplitPoint, Splittable
from adaedge.operating_point import INPUT, OUTPUT


def outer(point: SplitPoint, wrapped: bool) -> SplitPoint:
    """A split point, named as the user's model has it."""
    aliases = tuple(outer_name(alias, wrapped) for alias in point.aliases if not (wrapped and alias == "net"))
    return replace(point, name=outer_name(point.name, wrapped), aliases=aliases)


def find_points(splittable: Splittable, names: Sequence[str], *, wrapped: bool) -> list[SplitPoint]:
    """The split points of these names and both ends, each once, in execution order.

    Args:
        splittable: the captured model.
        names: as the user's model has them.
        wrapped: whether the user's model is inside a `Preprocessed`.

    Raises:
        SplitError: if there is no such split point.
    """
    wanted = {_find(splittable, name, wrapped) for name in (INPUT, *names, OUTPUT)}
    return [point for point in splittable.points if point in wanted]


def has_point(splittable: Splittable, name: str, *, wrapped: bool) -> bool:
    """Whether a captured model has a split point of this name; arguments as of `find_points`."""
    try:
        _find(splittable, name, wrapped)
    except SplitError:
        return False
    return True


def _find(splittable: Splittable, name: str, wrapped: bool) -> SplitPoint:
    if not wrapped or name in (INPUT, OUTPUT):
        return splittable.point(name)
    try:
        # An operator of the model itself is `:add`, inside a wrapper `net:add`.
        return splittable.point(PREFIX.rstrip(".") + name if name.startswith(":") else PREFIX + name)
    except SplitError as error:
        raise SplitError(re.sub(rf"(?<![\w.]){re.escape(PREFIX)}", "", str(error))) from error


def outer_name(name: str, wrapped: bool) -> str:
    """A name as the user's model has it."""
    return re.sub(r"^net(\.|(?=:))", "", name) if wrapped else name


def give_outer_names(graph: ir.Graph) -> None:
    """Name the weights, and what is one transposed, as the user's model does, where no other value has that name."""
    values = ir.convenience.create_value_mapping(graph)
    weights = [name for name in values if name.removesuffix(".T") in graph.initializers and name.startswith(PREFIX)]
    free = {name: outer for name in weights if (outer := name.removeprefix(PREFIX)) not in values}
    ir.convenience.rename_values([values[name] for name in free], list(free.values()))
