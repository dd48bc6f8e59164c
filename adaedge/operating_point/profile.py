"""Profile: what every operating point costs, and which levels are no faster. It travels between machines as JSON.

May import: ``errors``; of this part ``cost``, ``kept``, ``level``, ``point``.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from adaedge.errors import LevelError, ProfileError
from adaedge.operating_point.cost import Cost
from adaedge.operating_point.kept import KeptCurve
from adaedge.operating_point.level import FP32
from adaedge.operating_point.point import OperatingPoint

NOT_FASTER = "smaller, not faster"
"""The label of a precision whose head measured no faster than fp32: it saves memory, never time or joules."""
REFRESH = 1.0
"""The change of a frame against what is not held: all of it, which is a refresh."""
PROFILE_FORMAT = "adaedge-profile"
PROFILE_VERSION = 4


@dataclass(frozen=True, slots=True)
class Profile(Mapping[OperatingPoint, Cost]):
    """A table {operating point: cost}, with the names of the machines that it was measured on.

    Attributes:
        costs: the table. Treat as read-only.
        bundle: SHA-256 of the bundle that was profiled, in hexadecimal.
        terminal: what the terminal's columns were measured on.
        edge: what the edge server's columns were measured on.
        changes: amounts of change, ascending, at which points with a stateful codec were measured; the last is 1, a
            refresh: that is what the table holds.
        next_costs: of such a point, what a frame costs that builds upon the one before, at each change below 1.
        kept: how good the answer is where the last one is kept; ``None`` where it never is.
        terminal_engine: the name of what ran the graphs when the terminal's columns were measured.
        edge_engine: the same of the edge server's.

    Raises:
        ProfileError: if a point has not as many such costs as there are changes below 1, or the changes do not ascend
            to 1.

    Example:
        >>> local = OperatingPoint("output")
        >>> profile = Profile({local: Cost(head_s=0.013)}, bundle="00" * 32, terminal="laptop", edge="laptop")
        >>> profile[local].head_s
        0.013
    """

    costs: Mapping[OperatingPoint, Cost]
    bundle: str
    terminal: str
    edge: str
    changes: tuple[float, ...] = (REFRESH,)
    next_costs: Mapping[OperatingPoint, tuple[Cost, ...]] = field(default_factory=dict)
    kept: KeptCurve | None = None
    terminal_engine: str = "onnxruntime"
    edge_engine: str = "onnxruntime"

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in pairwise((-1.0, *self.changes)))
        if not ascending or self.changes[-1:] != (REFRESH,) or self.changes[0] < 0:
            raise ProfileError(f"changes ascend from 0 or more to {REFRESH:g}, a refresh; got {self.changes}")
        for point, costs in self.next_costs.items():
            if point not in self.costs or len(costs) != len(self.changes) - 1:
                raise ProfileError(
                    f"{point} has {len(costs)} costs for {len(self.changes) - 1} changes, or is not in the profile"
                )

    def at(self, point: OperatingPoint, change: float = REFRESH) -> Cost:
        """The cost of a frame that changed so much against what both ends hold, interpolated between measured changes.

        Args:
            point: one of the profile's.
            change: in [0, 1]; 1 where nothing is held, which is a refresh.

        Example:
            >>> video = OperatingPoint("input", codec="h264@28")
            >>> costs = {video: Cost(head_s=0, payload_bytes=9000.0)}
            >>> after = {video: (Cost(head_s=0, payload_bytes=200.0), Cost(head_s=0, payload_bytes=600.0))}
            >>> profile = Profile(costs, "", "laptop", "laptop", (0.0, 0.2, 1.0), after)
            >>> [profile.at(video, change).payload_bytes for change in (0.0, 0.1, 0.2, 1.0)]
            [200.0, 400.0, 600.0, 9000.0]
        """
        refresh = self.costs[point]
        costs = (*self.next_costs.get(point, ()), refresh)
        if len(costs) == 1:
            return refresh
        after, share = between(self.changes, change)
        return costs[after - 1].towards(costs[after], share)

    def __getitem__(self, point: OperatingPoint) -> Cost:
        return self.costs[point]

    def __iter__(self) -> Iterator[OperatingPoint]:
        return iter(self.costs)

    def __len__(self) -> int:
        return len(self.costs)

    @classmethod
    def join(cls, terminal: Profile, edge: Profile) -> Profile:
        """Put the terminal's columns of one profile beside the edge server's columns of another.

        Raises:
            ProfileError: if the two profiles are of different bundles or hold different points.
        """
        if terminal.bundle != edge.bundle:
            raise ProfileError(
                f"profiles of two bundles cannot be joined: terminal has {terminal.bundle[:12]}, edge"
                f" {edge.bundle[:12]}. Copy the same bundle to both machines and profile it there."
            )
        if set(terminal) != set(edge):
            odd = ", ".join(str(point) for point in sorted(set(terminal) ^ set(edge))[:3])
            raise ProfileError(
                f"profiles hold different operating points: {odd}. Profile the whole bundle on both machines."
            )
        if terminal.changes != edge.changes or set(terminal.next_costs) != set(edge.next_costs):
            raise ProfileError(
                f"profiles of other amounts of change: {terminal.changes} and {edge.changes}. Profile the same bundle,"
                " by the same adaedge, on both machines."
            )
        costs = {point: _joined(mine, edge[point]) for point, mine in terminal.items()}
        next_costs = {
            point: tuple(map(_joined, mine, edge.next_costs[point])) for point, mine in terminal.next_costs.items()
        }
        names = terminal.bundle, terminal.terminal, edge.edge
        engines = terminal.terminal_engine, edge.edge_engine
        return cls(costs, *names, terminal.changes, next_costs, terminal.kept, *engines)

    @property
    def labels(self) -> dict[OperatingPoint, str]:
        """The points that carry a label, and the label: ``smaller, not faster``."""
        slow = not_faster(self)
        return {point: NOT_FASTER for point in self if point in slow}

    def slowed(self, factor: float) -> Profile:
        """The same profile on a terminal that computes ``factor`` times slower: a stand-in for one that is not at hand.

        Raises:
            ProfileError: if ``factor`` is not a number above 0.

        Example:
            >>> local = OperatingPoint("output")
            >>> Profile({local: Cost(head_s=0.02)}, "", "laptop", "laptop").slowed(5.0)[local].head_s
            0.1
        """
        if not (math.isfinite(factor) and factor > 0):
            raise ProfileError(f"a terminal is slower by a factor above 0; got {factor}")
        costs = {point: _slowed(cost, factor) for point, cost in self.items()}
        next_costs = {point: tuple(_slowed(cost, factor) for cost in each) for point, each in self.next_costs.items()}
        return replace(self, costs=costs, next_costs=next_costs, terminal=f"{self.terminal}, {factor:.1f} times slower")

    def to_json(self) -> str:
        """The profile as one JSON document; every figure in it was measured, none was modelled."""
        document = {
            "format": PROFILE_FORMAT,
            "version": PROFILE_VERSION,
            "bundle": self.bundle,
            "terminal": self.terminal,
            "edge": self.edge,
            "engines": {"terminal": self.terminal_engine, "edge": self.edge_engine},
            "changes": self.changes,
            "kept": self.kept and asdict(self.kept),
            "points": [asdict(point) | asdict(cost) | self._next(point) for point, cost in self.items()],
            "labels": {str(point): label for point, label in self.labels.items()},  # for readers: follows from the rest
        }
        return json.dumps(document, indent=1)

    def _next(self, point: OperatingPoint) -> dict[str, Any]:
        costs = self.next_costs.get(point)
        return {"next": [asdict(cost) for cost in costs]} if costs else {}

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Read what ``to_json`` wrote.

        Raises:
            ProfileError: if ``text`` is not a profile, or one of another version.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            if document["format"] != PROFILE_FORMAT or document["version"] != PROFILE_VERSION:
                raise ProfileError(
                    f"this is not a version {PROFILE_VERSION} profile: format {document['format']!r}, version"
                    f" {document['version']!r}. Write it again with `adaedge profile`."
                )
            keys = tuple(entry.name for entry in fields(OperatingPoint))
            costs, next_costs = {}, {}
            for row in document["points"]:
                point = OperatingPoint(**{key: row.pop(key) for key in keys})
                if "next" in row:
                    next_costs[point] = tuple(Cost(**cost) for cost in row.pop("next"))
                costs[point] = Cost(**row)
            names = document["bundle"], document["terminal"], document["edge"]
            engines = document.get("engines", {"terminal": "onnxruntime", "edge": "onnxruntime"})  # once there was one
            kept = KeptCurve.of(document["kept"])
            return cls(
                costs, *names, tuple(document["changes"]), next_costs, kept, engines["terminal"], engines["edge"]
            )
        except (LevelError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProfileError(f"this is not a profile ({error}). Write one with `adaedge profile BUNDLE`.") from error

    def save(self, path: str | Path) -> None:
        """Write the profile to ``path`` as JSON."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile from ``path``.

        Raises:
            ProfileError: if the file cannot be read or is not a profile.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileError(f"cannot read the profile {path}: {error}") from error
        return cls.from_json(text)


def between(changes: Sequence[float], change: float) -> tuple[int, float]:
    """Between which two of the measured changes one lies: the place of the larger, and how far it is on the way there.

    Args:
        changes: two or more, ascending.
        change: what lies outside of them counts as the nearest.

    Example:
        >>> between((0.0, 0.25, 1.0), 0.125)
        (1, 0.5)
    """
    after = min(max(bisect_left(changes, change), 1), len(changes) - 1)
    start, end = changes[after - 1], changes[after]
    return after, min(max((change - start) / (end - start), 0.0), 1.0)


def _joined(mine: Cost, edge: Cost) -> Cost:
    return replace(mine, decode_s=edge.decode_s, tail_s=edge.tail_s)


def _slowed(cost: Cost, factor: float) -> Cost:
    return replace(cost, head_s=cost.head_s * factor, encode_s=cost.encode_s * factor, finish_s=cost.finish_s * factor)


def not_faster(costs: Mapping[OperatingPoint, Cost]) -> frozenset[OperatingPoint]:
    """The points whose precision is `NOT_FASTER`: their head takes as long as that of fp32, or longer.

    Compared at the same split point, network and width, incremental points with each other, by their refreshes.

    Example:
        >>> fp32, int8 = OperatingPoint("output"), OperatingPoint("output", precision="int8")
        >>> [str(point) for point in not_faster({fp32: Cost(head_s=0.01), int8: Cost(head_s=0.02)})]
        ['output/w1/int8/raw']
    """
    fp32_s = {
        (*point.place, point.incremental): cost.head_s for point, cost in costs.items() if point.precision == FP32
    }
    return frozenset(
        point
        for point, cost in costs.items()
        if point.precision != FP32 and cost.head_s >= fp32_s.get((*point.place, point.incremental), math.inf)
    )
