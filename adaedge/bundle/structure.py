"""How a model's outputs nest, as plain JSON data: names and places, nothing of the model's own classes.

May import: ``errors``. ``adaedge.builder`` writes it, a `Manifest` holds it. A structure is

    3                              output 3
    {"dict": [["logits", 0], …]}   a dictionary, in this order; a dataclass or an output of transformers is one too
    {"list": […]}, {"tuple": […]}  a list or tuple of structures
    {"constant": null}             what is no tensor: ``None``, a truth value, a number, a text
    null                           a tuple of all outputs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from adaedge.errors import BundleError

Structure = int | dict[str, Any] | None


def nest(structure: Structure, leaves: Sequence[Any]) -> Any:
    """The leaves in their places.

    Args:
        structure: see above.
        leaves: one for each output.

    Example:
        >>> nest({"dict": [["logits", 1], ["sizes", {"tuple": [0, {"constant": 7}]}]]}, ["a", "b"])
        {'logits': 'b', 'sizes': ('a', 7)}
        >>> nest(None, ["a", "b"])
        ('a', 'b')
    """
    if structure is None:
        return tuple(leaves)
    if isinstance(structure, int):
        return leaves[structure]
    ((kind, inside),) = structure.items()
    if kind == "constant":
        return inside
    if kind == "dict":
        return {name: nest(one, leaves) for name, one in inside}
    nested = [nest(one, leaves) for one in inside]
    return nested if kind == "list" else tuple(nested)


def check(structure: Structure, count: int) -> None:
    """Refuse what is no structure of so many outputs.

    Raises:
        BundleError: saying what is wrong.
    """
    try:
        found = sorted(_places(structure)) if structure is not None else [*range(count)]
    except (TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"outputs nest in dict, list, tuple and constant; got {structure!r:.80} ({error})") from error
    if sorted({*found}) != [*range(count)]:
        raise BundleError(f"the nesting of {count} outputs has each of them; it has {found}")


def _places(structure: Any) -> Iterator[int]:
    if isinstance(structure, int) and not isinstance(structure, bool):
        yield structure
        return
    ((kind, inside),) = structure.items()
    if kind not in ("dict", "list", "tuple", "constant"):
        raise ValueError(f"{kind!r} is none of them")
    for one in inside if kind != "constant" else ():
        yield from _places(one[1] if kind == "dict" and len(one) == 2 else one)
