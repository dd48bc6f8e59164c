"""The file of cascades, alone or in a bundle: JSON, one entry each.

May import: ``errors``, ``operating_point``; of this part ``sureness``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from adaedge.cascade.sureness import top_probability
from adaedge.errors import LevelError, ScheduleError
from adaedge.operating_point import OperatingPoint

if TYPE_CHECKING:
    from adaedge.cascade.cascade import Cascade

NAME = "cascades.json"
FORMAT, VERSION = "adaedge-cascade", 2
_FIGURES = ("temperature", "threshold", "floor", "share", "accuracy")
Fields = tuple[OperatingPoint, OperatingPoint, float, float, float, float, float]


def written(cascades: Sequence[Cascade]) -> bytes:
    """Their file.

    Raises:
        ScheduleError: if the sureness of one is of your own, which no file can hold.
    """
    if any(one.sureness is not top_probability for one in cascades):
        raise ScheduleError("a cascade with a sureness of your own cannot be saved; keep its code and its figures")
    entries = [{"first": str(one.first), "then": str(one.then)} | _figures(one) for one in cascades]
    document = {"format": FORMAT, "version": VERSION, "cascades": entries}
    return (json.dumps(document, indent=1) + "\n").encode()


def _figures(cascade: Cascade) -> dict[str, float | None]:
    """By name; a threshold that nothing reaches is ``null``."""
    found = {name: float(getattr(cascade, name)) for name in _FIGURES}
    return {name: None if math.isinf(value) else value for name, value in found.items()}


def read(data: bytes, name: str, most: int | None = None) -> list[Fields]:
    """The fields of each cascade in a file.

    Args:
        data: its bytes.
        name: of the file, for the error.
        most: how many cascades it holds, where that is known.

    Raises:
        ScheduleError: if it is no such file.
    """
    try:
        document = json.loads(data)
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {document['format']} {document['version']}")
        found = [_fields(entry) for entry in document["cascades"]]
        if most not in (None, len(found)):
            raise ValueError(f"{len(found)} of them")
    except (ValueError, KeyError, TypeError, AttributeError, LevelError) as error:
        raise ScheduleError(f"{name} holds no cascade of version {VERSION} ({error}); fit one") from error
    return found


def _fields(entry: dict[str, str | float | None]) -> Fields:
    first, then = (OperatingPoint.parse(str(entry[name])) for name in ("first", "then"))
    values = [entry[name] for name in _FIGURES]
    temperature, threshold, floor, share, accuracy = (math.inf if value is None else float(value) for value in values)
    if not (temperature > 0 and not math.isnan(threshold) and all(0 <= one <= 1 for one in (floor, share, accuracy))):
        raise ValueError(f"the figures {values} are none of a cascade")
    return first, then, temperature, threshold, floor, share, accuracy
