"""Both halves of a clip, played through every operating point of a bundle: bytes, changes and answers, measured.

May import: ``errors``, ``clip``, ``operating_point``, ``metrics``, ``engine``, ``bundle``, ``stream``.

A payload is really encoded, decoded and answered, in the order of the frames. What is chosen is chosen on the first
half, what is reported is of the second. A point's answer to a frame is the one that it gives where every frame before
it was sent: with a codec that builds upon the frame before, a run that left some out may decode a frame a little better
or worse.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.bundle import Bundle
from adaedge.clip import Clip, Frame
from adaedge.engine import Array, Arrays
from adaedge.errors import MetricError, SourceError
from adaedge.metrics import Metric
from adaedge.operating_point import KEPT, OUTPUT, REFRESH, Cost, KeptCurve, OperatingPoint, Profile
from adaedge.stream import BlockChange, Playback, Window
from adaedge.stream.change import by_change

Progress = Callable[[str, int, int], None]
Luma = npt.NDArray[np.uint8]

_LOCAL = OperatingPoint(OUTPUT)
_STRIDES = (4, 16)
"""A codec with a state is played at these strides too: what it sends after frames that it did not see."""
_TIMED = 8
_CHANGES = (0.02, 0.1, 0.3, REFRESH)
"""Amounts of change, where a bundle was built without clips and knows none."""


@dataclass(frozen=True, slots=True, eq=False)
class Half:
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
    changes: tuple[float, ...] = _CHANGES

    def __len__(self) -> int:
        return len(self.lumas)

    @property
    def points(self) -> list[OperatingPoint]:
        """Those that were played, and the local ones."""
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
        return replace(profile, costs=costs, next_costs=after, changes=self.changes)


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A clip, played.

    Attributes:
        clip: its name.
        first: its first half, on which everything is chosen.
        second: its second half, which is reported.
        prepare_s: seconds that preparing a frame takes here.
        kept: how good kept answers are, fitted on the first half or on what the bundle was built with; ``None``: not.
    """

    clip: str
    first: Half
    second: Half
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
    def load(cls, path: Path) -> Played:
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
        return cls(about["clip"], *halves, about["prepare_s"], KeptCurve.of(about["kept"]))


def _half(arrays: Any, name: str, known: Mapping[str, Any]) -> Half:
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
    return Half(arrays[f"{name} lumas"], payloads, sizes, answers, local, tuple(known["changes"]))


def play(
    bundle: Bundle,
    clip: Clip,
    name: str,
    *,
    period_s: float,
    most: int = 60,
    judged: bool = True,
    points: Collection[OperatingPoint] | None = None,
    progress: Progress | None = None,
) -> Played:
    """Play both halves of a clip through every point of a bundle.

    Args:
        bundle: the model.
        clip: what the camera saw.
        name: what the clip is called.
        period_s: seconds from a frame that is taken to the next; a clip of fewer frames a second is taken as it is.
        most: frames of each half at most.
        judged: whether the answers are kept: those of random weights say nothing.
        points: those to play; all unless told. The full network is always among them.
        progress: called as ``progress(what, done, total)``.

    Raises:
        SourceError: if the clip has fewer than four frames.
        BundleError: if the model takes no frames.
    """
    first, second = halves_of(clip, name, period_s, most)
    every = [entry.point for entry in bundle.manifest.points]
    wanted = [point for point in every if points is None or point in points or point == _LOCAL]
    total, done = 2 * len(wanted), 0

    def report() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(f"{name}: played", done, total)

    window, prepare_s = Window(bundle.manifest.preprocessing), []
    for frame in first[:_TIMED]:
        start_s = time.perf_counter()
        window.inputs_of(frame)
        prepare_s.append(time.perf_counter() - start_s)
    halves = [_played(bundle, part, wanted, judged, report) for part in (first, second)]
    return Played(name, *halves, float(np.median(prepare_s)), bundle.manifest.kept)


def halves_of(clip: Clip, name: str, period_s: float, most: int) -> tuple[list[Frame], list[Frame]]:
    """The frames of both halves that are played; see `play`.

    Raises:
        SourceError: if the clip has fewer than four frames.
    """
    frames = list(_taken(clip, period_s))
    if len(frames) < 4:
        raise SourceError(
            f"a clip of two halves has four frames or more, {period_s:g} s apart; {name} has {len(frames)}"
        )
    middle = len(frames) // 2
    return frames[:middle][:most], frames[middle:][:most]


def _taken(clip: Clip, period_s: float) -> Iterator[Frame]:
    """A frame for each period, as a camera shows them."""
    taken, step = 0, max(1.0, period_s * clip.fps)
    for index, frame in enumerate(clip):
        if index >= round(taken * step):
            yield frame
            taken += 1


def _played(
    bundle: Bundle,
    frames: Sequence[Frame],
    wanted: Sequence[OperatingPoint],
    judged: bool,
    report: Callable[[], None],
) -> Half:
    window, look = Window(bundle.manifest.preprocessing), BlockChange()
    changes = bundle.manifest.changes if len(bundle.manifest.changes) > 1 else _CHANGES
    inputs = [window.inputs_of(frame) for frame in frames]
    lumas = np.stack([look.look(frame) for frame in frames])
    payloads: dict[OperatingPoint, npt.NDArray[np.int64]] = {}
    by_bins: dict[OperatingPoint, tuple[float, ...]] = {}
    answers: dict[OperatingPoint, Arrays] = {}
    for cut in bundle.manifest.cuts:
        here = [point for point in wanted if (point.split, point.level) == (cut.split, cut.level)]
        needed = any(judged or not point.is_local for point in here)
        features = [bundle.head(cut.split, cut.level).run(one) for one in inputs] if needed else []
        for point in here:
            if point.is_local:
                given = [bundle.answers.reduce(one) for one in features] if judged else []
            else:
                payloads[point], given = _sent(bundle, point, features, judged)
                if bundle.codecs.is_stateful(point):
                    by_bins[point] = _by_change(bundle, point, features, lumas, payloads[point], changes)
            if given:
                answers[point] = tuple(np.concatenate(each) for each in zip(*given, strict=True))
            report()
    return Half(lumas, payloads, by_bins, answers, tuple(point for point in wanted if point.is_local), changes)


def _sent(
    bundle: Bundle, point: OperatingPoint, features: Sequence[Arrays], judged: bool
) -> tuple[npt.NDArray[np.int64], list[Arrays]]:
    """Bytes of each payload, and what is answered to it."""
    playback, sizes, given = Playback(bundle, point), [], []
    for one in features:
        data = playback.encode(one)
        sizes.append(len(data))
        if judged:
            engine, carried = playback.receive(data)
            given.append(bundle.answers.reduce(engine.run(carried)))
    return np.array(sizes, np.int64), given


def _by_change(
    bundle: Bundle,
    point: OperatingPoint,
    features: Sequence[Arrays],
    lumas: Luma,
    sizes: npt.NDArray[np.int64],
    changes: tuple[float, ...],
) -> tuple[float, ...]:
    """Mean bytes at each amount of change; the last is a refresh."""
    change = BlockChange().change
    steps = [(change(lumas[at - 1], lumas[at]) if at else 1.0, float(size)) for at, size in enumerate(sizes)]
    for stride in _STRIDES:
        playback, before = Playback(bundle, point), None
        for at in range(0, len(features), stride):
            size = float(len(playback.encode(features[at])))
            steps.append((1.0 if before is None else change(lumas[before], lumas[at]), size))
            before = at
    return by_change(steps, changes)
