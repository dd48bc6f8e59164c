"""Profile: what every operating point costs, and which levels are no faster. It travels between machines as JSON.

May import: ``errors``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from adaedge.errors import LevelError, ProfileError
from adaedge.operating_point.level import FP32
from adaedge.operating_point.point import OperatingPoint

NOT_FASTER = "smaller, not faster"
"""The label of a precision whose head measured no faster than fp32: it saves memory, never time or joules."""
PROFILE_FORMAT = "adaedge-profile"
PROFILE_VERSION = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """What one frame costs at one operating point. Times are medians measured on the machine that runs the part.

    Attributes:
        head_s: terminal: from the frame to the features (all of the model where the point is local).
        encode_s: terminal: from the features to the payload, and from the answer's bytes to the answer.
        payload_bytes: mean bytes of a payload on the link, header included; 0 where the point is local.
        decode_s: edge server: from the payload to the features, and from the answer to its bytes.
        tail_s: edge server: from the features to the answer.
        answer_bytes: mean bytes of an answer on the link, header included.
        finish_s: terminal: from the features to the answer, when the edge server has not answered (0 where local).
        accuracy: measured accuracy of the point, in [0, 1].
    """

    head_s: float
    encode_s: float = 0.0
    payload_bytes: float = 0.0
    decode_s: float = 0.0
    tail_s: float = 0.0
    answer_bytes: float = 0.0
    finish_s: float = 0.0
    accuracy: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ProfileError(f"{field.name} is a finite number, at least 0; got {value}")
        if self.accuracy > 1:
            raise ProfileError(f"accuracy is a fraction in [0, 1]; got {self.accuracy}")

    @property
    def terminal_s(self) -> float:
        """Seconds that the terminal computes when the offload succeeds."""
        return self.head_s + self.encode_s

    @property
    def edge_s(self) -> float:
        """Seconds that the edge server computes."""
        return self.decode_s + self.tail_s


@dataclass(frozen=True, slots=True)
class Profile(Mapping[OperatingPoint, Cost]):
    """A table {operating point: cost}, with the names of the machines that it was measured on.

    Attributes:
        costs: the table. Treat as read-only.
        bundle: SHA-256 of the bundle that was profiled, in hexadecimal.
        terminal: what the terminal's columns were measured on.
        edge: what the edge server's columns were measured on.

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
        costs = {
            point: Cost(
                head_s=mine.head_s,
                encode_s=mine.encode_s,
                payload_bytes=mine.payload_bytes,
                decode_s=edge[point].decode_s,
                tail_s=edge[point].tail_s,
                answer_bytes=mine.answer_bytes,
                finish_s=mine.finish_s,
                accuracy=mine.accuracy,
            )
            for point, mine in terminal.items()
        }
        return cls(costs, terminal.bundle, terminal.terminal, edge.edge)

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
        costs = {
            point: replace(
                cost, head_s=cost.head_s * factor, encode_s=cost.encode_s * factor, finish_s=cost.finish_s * factor
            )
            for point, cost in self.items()
        }
        return replace(self, costs=costs, terminal=f"{self.terminal}, {factor:.1f} times slower")

    def to_json(self) -> str:
        """The profile as one JSON document; every figure in it was measured, none was modelled."""
        document = {
            "format": PROFILE_FORMAT,
            "version": PROFILE_VERSION,
            "bundle": self.bundle,
            "terminal": self.terminal,
            "edge": self.edge,
            "points": [asdict(point) | asdict(cost) for point, cost in self.items()],
            "labels": {str(point): label for point, label in self.labels.items()},  # for readers: follows from the rest
        }
        return json.dumps(document, indent=1)

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
            keys = tuple(field.name for field in fields(OperatingPoint))
            costs = {}
            for row in document["points"]:
                point = OperatingPoint(**{key: row.pop(key) for key in keys})
                costs[point] = Cost(**row)
            return cls(costs, document["bundle"], document["terminal"], document["edge"])
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


def not_faster(costs: Mapping[OperatingPoint, Cost]) -> frozenset[OperatingPoint]:
    """The points whose precision is `NOT_FASTER`: their head takes as long as that of fp32, or longer.

    Compared at the same split point, network and width.

    Example:
        >>> fp32, int8 = OperatingPoint("output"), OperatingPoint("output", precision="int8")
        >>> [str(point) for point in not_faster({fp32: Cost(head_s=0.01), int8: Cost(head_s=0.02)})]
        ['output/w1/int8/raw']
    """
    fp32_s = {
        (point.split, point.network, point.width): cost.head_s
        for point, cost in costs.items()
        if point.precision == FP32
    }
    return frozenset(
        point
        for point, cost in costs.items()
        if point.precision != FP32 and cost.head_s >= fp32_s.get((point.split, point.network, point.width), math.inf)
    )
