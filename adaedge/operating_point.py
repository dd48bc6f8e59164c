"""The nouns that every part speaks: OperatingPoint, Cost, Profile, Decision.

May import: ``errors`` only. A profile reads and writes JSON, so that two machines can exchange it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from adaedge.errors import LevelError, ProfileError

INPUT = "input"
OUTPUT = "output"
PROFILE_FORMAT = "adaedge-profile"
PROFILE_VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class OperatingPoint:
    """One way to run the model.

    Attributes:
        split: name of the split point; everything before it runs on the terminal. ``input`` is full offload,
            ``output`` is local execution.
        width: fraction of channels kept, in (0, 1].
        precision: number format of the terminal's arithmetic.
        codec: how the features become bytes; ``raw`` where nothing is sent.

    Example:
        >>> str(OperatingPoint("blocks.3", codec="u4+zstd"))
        'blocks.3/w1/fp32/u4+zstd'
        >>> OperatingPoint.parse("blocks.3/w1/fp32/u4+zstd").codec
        'u4+zstd'
    """

    split: str
    width: float = 1.0
    precision: str = "fp32"
    codec: str = "raw"

    def __post_init__(self) -> None:
        if not self.split:
            raise LevelError("split is the name of a split point; got an empty name")
        if not 0 < self.width <= 1:
            raise LevelError(f"width is the fraction of channels kept, in (0, 1]; got {self.width}")

    @property
    def is_local(self) -> bool:
        """Whether the terminal answers alone and sends nothing."""
        return self.split == OUTPUT

    def __str__(self) -> str:
        width = repr(float(self.width)).removesuffix(".0")  # not `:g`, which would not read back
        return f"{self.split}/w{width}/{self.precision}/{self.codec}"

    @classmethod
    def parse(cls, text: str) -> OperatingPoint:
        """Read what ``str(point)`` wrote.

        Raises:
            LevelError: if ``text`` is not of the form ``SPLIT/wWIDTH/PRECISION/CODEC``.
        """
        try:
            split, width, precision, codec = text.rsplit("/", 3)
            return cls(split, float(width.removeprefix("w")), precision, codec)
        except ValueError as error:
            raise LevelError(f"an operating point is written SPLIT/wWIDTH/PRECISION/CODEC; got {text!r}") from error


@dataclass(frozen=True, slots=True)
class Cost:
    """What one frame costs at one operating point. Times are medians measured on the machine that runs the part.

    Attributes:
        head_s: terminal: from the frame to the features (all of the model where the point is local).
        encode_s: terminal: from the features to the payload.
        payload_bytes: mean bytes of a payload on the link, header included; 0 where the point is local.
        decode_s: edge server: from the payload to the features.
        tail_s: edge server: from the features to the answer.
        answer_bytes: bytes of the answer on the link, header included.
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


@dataclass(frozen=True, slots=True)
class Decision:
    """What a scheduler chose for one frame, what it predicted, and why.

    Attributes:
        point: the operating point to run.
        latency_s: predicted seconds from the frame to the answer.
        energy_j: predicted joules of the terminal for this frame.
        accuracy: measured accuracy of the point.
        rate_bps: the link rate that the prediction assumed; ``None`` where nothing was known.
        reasons: why this point and not another, for people.
    """

    point: OperatingPoint
    latency_s: float
    energy_j: float
    accuracy: float = 1.0
    rate_bps: float | None = None
    reasons: tuple[str, ...] = ()
