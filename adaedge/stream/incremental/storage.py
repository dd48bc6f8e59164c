"""A plan as a file: canonical JSON, read without executing anything.

May import: ``errors``. The schema, version 1, is the dataclasses of ``plan`` and ``reach``; whatever does not read back
as what was written is refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from adaedge.errors import BundleError
from adaedge.stream.incremental.plan import Held, Kind, Plan, Segment, Way
from adaedge.stream.incremental.reach import Reach

VERSION = 1


def to_bytes(plan: Plan) -> bytes:
    """A plan as JSON.

    Example:
        >>> plan = Plan((Held((1, 4), (1,)),), (Segment(Kind.WHOLE, (0,), (0,)),), (0,), (0,), "tiny")
        >>> from_bytes(to_bytes(plan)) == plan
        True
    """
    document = asdict(plan) | {"version": VERSION}
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def from_bytes(data: bytes) -> Plan:
    """Read what `to_bytes` wrote.

    Raises:
        BundleError: if it is none, is of another version, or speaks of tensors that it does not hold.
    """
    try:
        document: dict[str, Any] = json.loads(data)
        version = document.pop("version")
        if version != VERSION:
            raise BundleError(f"a plan of version {version!r}; this adaedge reads {VERSION}. Build the bundle again.")
        plan = Plan(
            tuple(Held(_ints(one["shape"]), _ints(one["axes"]), str(one["dtype"])) for one in document["held"]),
            tuple(map(_segment, document["segments"])),
            _ints(document["inputs"]),
            _ints(document["outputs"]),
            str(document["name"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"this is no plan of an incremental head ({error}). Build the bundle again.") from error
    _check(plan)
    return plan


def _segment(entry: dict[str, Any]) -> Segment:
    ways = tuple(
        Way(int(way["source"]), int(way["target"]), tuple(Reach(**reach) for reach in way["reaches"]))
        for way in entry["ways"]
    )
    units = tuple(map(_ints, entry["units"]))
    tensors = _ints(entry["inputs"]), _ints(entry["outputs"])
    return Segment(Kind(entry["kind"]), *tensors, ways, units, int(entry["macs"]), float(entry["work"]))


def _ints(values: list[Any]) -> tuple[int, ...]:
    return tuple(map(int, values))


def _check(plan: Plan) -> None:
    places = [*plan.inputs, *plan.outputs]
    for segment in plan.segments:
        places += [*segment.inputs, *segment.outputs]
        ends = len(segment.inputs), len(segment.outputs)
        if segment.kind is Kind.PART and len(segment.units) != sum(ends):
            raise BundleError("a plan whose segment has no grid. Build the bundle again.")
        if any(not (0 <= way.source < ends[0] and 0 <= way.target < ends[1]) for way in segment.ways):
            raise BundleError("a plan whose segment has a way to what it does not make. Build the bundle again.")
    if any(not 0 <= place < len(plan.held) for place in places) or not plan.inputs:
        raise BundleError("a plan that speaks of tensors it does not hold. Build the bundle again.")
