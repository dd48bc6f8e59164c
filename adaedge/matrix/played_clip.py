"""Both halves of a clip that was played: bytes, changes and answers of every operating point, measured.

May import: ``errors``, ``operating_point``, ``metrics``, ``engine``.

What is chosen is chosen on the first
half, what is reported is of the second. A point's answer to a frame is the one that it gives where every frame before
it was sent: with a codec that builds upon the frame before, a run that left some out may decode a frame a little better
or worse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.engine import Arrays
from adaedge.errors import MetricError, SourceError
from adaedge.metrics import Metric
from adaedge.operating_point import KEPT, OUTPUT, REFRESH, Cost, KeptCurve, OperatingPoint, Profile

Luma = npt.NDArray[np.uint8]

_LOCAL = OperatingPoint(OUTPUT)
CHANGES = (0.02, 0.1, 0.3, REFRESH)
"""Amounts of change, where a bundle was built without clips and knows none."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipHalf:
    """Half of a clip.

    Attributes:
        lumas: (frames, height, width): of each frame what changes are measured on.
        payloads: of a point that sends something, the bytes of each frame where all are sent in order.
        by_change: of a point whose codec has a state, mean bytes at each of ``changes``.
        answers: of a point, its outputs, (frames, …) each; without any where answers are not judged.
        local: the points that send nothing.
        changes: amounts of change, ascending; the last is 1, a refresh.
    """

    lumas: Luma
    payloads: Mapping[OperatingPoint, npt.NDArray[np.int64]]
    by_change: Mapping[OperatingPoint, tuple[float, ...]] = field(default_factory=dict)
    answers: Mapping[OperatingPoint, Arrays] = field(default_factory=dict)
    local: tuple[OperatingPoint, ...] = (_LOCAL,)
    changes: tuple[float, ...] = CHANGES

    def __len__(self) -> int:
        return len(self.lumas)

    @property
    def points(self) -> list[OperatingPoint]:
        """The points that were played, and the local ones."""
        return [*self.payloads, *(point for point in self.answers if point not in self.payloads), *self.local]

    def answer(self, point: OperatingPoint, frame: int) -> list[Array]:
        """What a point answers to a frame; counted on from the start where there are no more."""
        at = frame % len(self)
        return [output[at : at + 1] for output in self.answers[point]]

    def accuracy(self, point: OperatingPoint, metric: Metric) -> float | None:
        """How good a point's answers are at least, against the full network's; ``None`` where nothing can be compared.

        The lower end of the 95 % interval, so that a floor that is kept here is likely kept elsewhere too. The full
        network itself is right by definition.
        """
        if point == _LOCAL and point in self.answers:
            return 1.0
        if point not in self.answers:
            return None
        frames = range(len(self))
        try:
            return metric.score(*([self.answer(one, at) for at in frames] for one in (_LOCAL, point))).low
        except MetricError:
            return None

    def costs(self, profile: Profile, metric: Metric | None) -> Profile:
        """A profile with the bytes of this half, and the accuracies if a metric judges them."""

        def cost(point: OperatingPoint, known: Cost) -> Cost:
            accuracy = None if metric is None else self.accuracy(point, metric)
            if point == KEPT or point not in self.payloads:
                return replace(known, accuracy=accuracy)
            sizes = self.by_change.get(point) or (float(self.payloads[point].mean()),)
            return replace(known, payload_bytes=sizes[-1], accuracy=accuracy)

        costs = {point: cost(point, known) for point, known in profile.items()}
        after = {
            point: tuple(
                replace(profile.at(point, change), payload_bytes=size, accuracy=costs[point].accuracy)
                for change, size in zip(self.changes[:-1], sizes, strict=False)
            )
            for point, sizes in self.by_change.items()
            if point in profile
        }
        heads = {point: known for point, known in profile.next_costs.items() if point.incremental and point in costs}
        if profile.changes == self.changes:
            after |= {
                point: tuple(replace(one, accuracy=costs[point].accuracy) for one in known)
                for point, known in heads.items()
            }
        return replace(profile, costs=costs, next_costs=after, changes=self.changes)


@dataclass(frozen=True, slots=True, eq=False)
class PlayedClip:
    """A clip, played.

    Attributes:
        clip: its name.
        first: its first half, on which everything is chosen.
        second: its second half, which is reported.
        prepare_s: seconds that preparing a frame takes here.
        kept: how good kept answers are, fitted on the first half or on what the bundle was built with; ``None``: not.
    """

    clip: str
    first: ClipHalf
    second: ClipHalf
    prepare_s: float
    kept: KeptCurve | None

    def save(self, path: Path) -> None:
        """Write it to ``path``, an ``.npz`` of plain arrays."""
        arrays: dict[str, Any] = {}
        halves: list[dict[str, Any]] = []
        for name, half in (("first", self.first), ("second", self.second)):
            arrays[f"{name} lumas"] = half.lumas
            arrays |= {f"{name} bytes {point}": sizes for point, sizes in half.payloads.items()}
            for point, outputs in half.answers.items():
                arrays |= {f"{name} answer {at} {point}": output for at, output in enumerate(outputs)}
            sizes = {str(point): each for point, each in half.by_change.items()}
            halves.append({"by_change": sizes, "local": [str(point) for point in half.local], "changes": half.changes})
        about = {"clip": self.clip, "prepare_s": self.prepare_s, "halves": halves}
        about["kept"] = self.kept and asdict(self.kept)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, about=np.array(json.dumps(about)), **arrays)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> PlayedClip:
        """Read what ``save`` wrote.

        Raises:
            SourceError: if it is no such file.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                halves = [
                    _half(arrays, name, known) for name, known in zip(("first", "second"), about["halves"], strict=True)
                ]
        except (OSError, ValueError, KeyError) as error:
            raise SourceError(
                f"{path} is no clip that was played ({error}). Delete it: it is measured anew."
            ) from error
        return cls(about["clip"], halves[0], halves[1], about["prepare_s"], KeptCurve.of(about["kept"]))


def _half(arrays: Any, name: str, known: Mapping[str, Any]) -> ClipHalf:
    payloads, outputs = {}, {}
    for key in arrays.files:
        half, kind, *rest = f"{key} ".split(" ", 3)
        if half == name and kind == "bytes":
            payloads[OperatingPoint.parse(rest[0])] = arrays[key]
        elif half == name and kind == "answer":
            outputs[int(rest[0]), OperatingPoint.parse(rest[1].strip())] = arrays[key]
    answers = {
        point: tuple(outputs[at, point] for at in range(len(outputs)) if (at, point) in outputs)
        for point in dict.fromkeys(point for _, point in outputs)
    }
    sizes = {OperatingPoint.parse(point): tuple(each) for point, each in known["by_change"].items()}
    local = tuple(map(OperatingPoint.parse, known["local"]))
    return ClipHalf(arrays[f"{name} lumas"], payloads, sizes, answers, local, tuple(known["changes"]))
