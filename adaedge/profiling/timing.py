"""Time the parts of a bundle on this machine and compose what each operating point costs.

May import: ``operating_point``, ``payload``, ``engine``, ``clip``, ``bundle``, ``stream``; of this part
``head_player``, ``player``.

Each head, each codec side, each tail and the answer's codec are timed once, not the product of all dimensions: costs
compose. The parts are run in a random order in every repetition, after a warm-up, so that a slow moment of the machine
falls on all of them.
Engines are synchronous: a call returns when its result is there.
"""

from __future__ import annotations

import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from adaedge.bundle import Bundle, PointEntry
from adaedge.bundle.entries import Subgraph
from adaedge.bundle.random_inputs import random_inputs
from adaedge.clip import Clip, as_clip
from adaedge.engine import ONNX_RUNTIME, Arrays, version_of
from adaedge.operating_point import KEPT, OUTPUT, Cost, OperatingPoint, Profile
from adaedge.payload import Message
from adaedge.profiling.head_player import head_players, refresh_key
from adaedge.profiling.player import Player
from adaedge.stream import ChangeDetector, Runners, Window
from adaedge.stream.change import picture_of
from adaedge.stream.detectors import check_detector

Progress = Callable[[str, int, int], None]

_PREPROCESS, _CHANGE = "preprocess", "change"
_REDUCE, _WRITE, _READ = "answer of outputs", "write answer", "read answer"
_WARM_UP = 3
_MAX_FRAMES = 8  # features are made of so many frames, in turn: memory is bounded
_MAX_PLAYED = 32  # so many frames of a clip are played in order, and back
_OF_LABELS = ("accuracy", "top1")  # metrics that compare with labels, not with the full network


def profile(
    bundle: Bundle,
    *,
    repetitions: int = 30,
    frames: Iterable[Any] | Clip | str | Path | None = None,
    threads: int = 1,
    cautious: bool = False,
    detector: ChangeDetector | None = None,
    progress: Progress | None = None,
    seed: int = 0,
) -> Profile:
    """Measure every operating point of a bundle on this machine, as terminal and as edge server.

    Times are medians. Payload lengths and accuracies are those that were measured when the bundle was built; a point
    whose accuracy was not measured meets no accuracy floor. A codec with a state is timed as a refresh and, on a clip,
    in order at several strides: at the amounts of change at which the bundle was built.

    Args:
        bundle: what to measure.
        repetitions: how often each part is run after the warm-up.
        frames: uint8 frames (H, W, 3) as the camera gives them, in order, whose resizing then counts as part of every
            head: a list, a clip, or the path of a video; or tuples of input arrays. The first 32 are used. Without
            any, inputs are random (frames smooth), and resizing is not counted.
        threads: threads inside an operator.
        cautious: take the lower end of an accuracy's 95 % interval instead of its value, so that an accuracy floor
            holds on frames that the bundle was not scored on.
        detector: what measured the changes of the bundle's kept answers, where that is none of adaedge's. Its time
            counts as part of every head, and is all that a kept answer takes.
        progress: called as ``progress(what, done, total)``.
        seed: of the order in which the parts are run, and of the random frames.

    Raises:
        ScheduleError: if the detector is another than that of the bundle's kept answers.

    Example:
        >>> import adaedge, torch
        >>> bundle = adaedge.build(torch.nn.Linear(4, 2).eval(), (torch.zeros(1, 4),), adaedge.Space([]))
        >>> profile(bundle, repetitions=2)[OperatingPoint("output")].head_s > 0
        True
    """
    if threads != bundle.threads:
        bundle = bundle.with_threads(threads)
    shown: Iterable[Any] = as_clip(frames) if isinstance(frames, str | Path) else () if frames is None else frames
    given = list(islice(shown, _MAX_PLAYED))
    window = Window(bundle.manifest.preprocessing)
    played = [window.inputs_of(frame) for frame in given] or random_inputs(bundle.manifest.inputs, seed)
    inputs = played[:_MAX_FRAMES]
    parts = _parts(bundle, inputs) | _answer_parts(bundle, inputs)
    answer_bytes = statistics.fmean(map(len, parts[_READ].inputs))
    runners = Runners(bundle)
    parts |= _tail_parts(bundle, inputs, runners)
    players = _players(bundle, played, given or [None for _ in played], runners)
    if given and bundle.manifest.preprocessing and not isinstance(given[0], tuple | list):
        parts[_PREPROCESS] = _Part(window.inputs_of, given[:_MAX_FRAMES])
    heads, refreshes = head_players(bundle, played, given or [None for _ in played], runners)
    parts |= {key: _Part(refresh, inputs) for key, refresh in refreshes.items()}
    pictures = [picture_of(frame, model) for frame, model in zip(given or [None] * len(played), played, strict=True)]
    parts |= _change_part(check_detector(bundle.manifest.kept, detector), pictures[:_MAX_FRAMES])
    sides = [side for player in players.values() for side in player.sides]
    timed: list[Timed] = [*parts.values(), *sides, *heads.values()]
    _time(timed, repetitions, random.Random(seed), progress)
    seconds = {key: statistics.median(part.seconds[_WARM_UP:]) for key, part in parts.items()}
    machine = machine_name(threads, bundle.engine_name)
    costs = {entry.point: _cost(bundle, entry, seconds, answer_bytes, cautious) for entry in bundle.manifest.points}
    if bundle.manifest.kept:
        costs[KEPT] = Cost(head_s=seconds.get(_CHANGE, 0.0), accuracy=None)  # it follows from the change
    answer_s = seconds[_READ], seconds[_WRITE], seconds[_REDUCE]
    next_costs = {point: player.costs(costs[point], *answer_s) for point, player in players.items()}
    for point in (one for one in costs if one.incremental and refresh_key(one) in heads):
        key, after = refresh_key(point), next_costs.get(point, ())
        next_costs[point] = heads[key].costs(costs[point], seconds[key], after)
    about = bundle.manifest
    engines = (bundle.engine_name,) * 2
    return Profile(costs, bundle.digest, machine, machine, about.changes, next_costs, about.kept, *engines)


def machine_name(threads: int, engine: str = ONNX_RUNTIME) -> str:
    """This machine, for people: processor, threads, engine."""
    return f"{processor()}, {threads} thread{'s' if threads > 1 else ''}, {version_of(engine)}"


def processor() -> str:
    """The name of this machine's processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(named, platform.processor() or platform.machine())


class Timed(Protocol):
    """Something that is timed once a turn."""

    def time(self, turn: int) -> None:
        """Time one call."""
        ...


@dataclass(slots=True)
class _Part:
    """One thing to time: a call with each of a few inputs in turn."""

    run: Callable[[Any], object]
    inputs: Sequence[Any]
    seconds: list[float] = field(default_factory=list)

    def time(self, turn: int) -> None:
        """Time one call."""
        given = self.inputs[turn % len(self.inputs)]
        start = time.perf_counter()
        self.run(given)
        self.seconds.append(time.perf_counter() - start)


def _parts(bundle: Bundle, inputs: Sequence[Arrays]) -> dict[str, _Part]:
    """Every part by its key: the path of a graph, or a codec's side at a split point and width."""
    parts: dict[str, _Part] = {}
    for cut in bundle.manifest.cuts:
        head, tail = bundle.head(cut.split, cut.level), bundle.tail(cut.split, cut.level)
        features = [head.run(given) for given in inputs]
        if cut.head:
            parts.setdefault(cut.head.graph, _Part(head.run, inputs))
        if cut.tail:
            parts.setdefault(cut.tail.graph, _Part(tail.run, features))
        for entry in bundle.manifest.points:
            point = entry.point
            here = (point.split, point.level) == (cut.split, cut.level)
            if here and not point.is_local and _codec_key("encode", point) not in parts:
                _add_codec(parts, bundle, point, features)
    return parts


def _add_codec(parts: dict[str, _Part], bundle: Bundle, point: OperatingPoint, features: Sequence[Arrays]) -> None:
    """Both sides of a point's codec, and the tail that its decoder is folded into where there is one."""

    def encode(given: Arrays) -> bytes:
        return bundle.encode(point, given)

    def receive(payload: bytes) -> Arrays:
        return bundle.receive(bundle.read(payload))[1]

    payloads = [encode(given) for given in features]
    parts[_codec_key("encode", point)] = _Part(encode, features)
    parts[_codec_key("decode", point)] = _Part(receive, payloads)
    half = bundle.route(point).edge_half
    if half is not None and half.graph not in parts:
        parts[half.graph] = _Part(bundle.engine(half).run, [receive(payload) for payload in payloads])


def _change_part(detector: ChangeDetector | None, pictures: Sequence[Any]) -> dict[str, _Part]:
    """What looking at a frame and comparing it with an earlier one takes, where answers are kept."""
    if detector is None or any(picture is None for picture in pictures):
        return {}
    before = detector.look(pictures[0])
    return {_CHANGE: _Part(lambda picture: detector.change(before, detector.look(picture)), pictures)}


def _codec_key(side: str, point: OperatingPoint) -> str:
    """Without the precision: features of one width are alike to a codec, whatever computed them."""
    return f"{side} {replace(point, precision='')}"


def _tail_parts(bundle: Bundle, inputs: Sequence[Arrays], runners: Runners) -> dict[str, _Part]:
    """What refreshes each incremental tail, from the features of a dense head; what its segments cost is measured."""
    parts: dict[str, _Part] = {}
    for point in (entry.point for entry in bundle.manifest.points):
        route = bundle.route(point)
        if route.has_incremental_tail and _tail_key(point) not in parts:
            features = [route.head.run(given) for given in inputs]
            runners.measure_tail(route, features[0])
            parts[_tail_key(point)] = _Part(runners.tail_of(route).run, features)
    return parts


def _tail_key(point: OperatingPoint) -> str:
    return f"refresh tail {point.split} {point.network} {point.width}"


def _players(
    bundle: Bundle, played: Sequence[Arrays], frames: Sequence[Any], runners: Runners
) -> dict[OperatingPoint, Player]:
    """What times the points whose codec has a state, frame after frame."""
    changes = bundle.manifest.changes[:-1]
    entries = [entry for entry in bundle.manifest.points if entry.next_bytes]
    return {entry.point: Player(bundle, entry, changes, played, frames, runners) for entry in entries}


def _time(timed: Sequence[Timed], repetitions: int, order: random.Random, progress: Progress | None) -> None:
    """Run every part once a turn, in random order; the first turns warm up."""
    shuffled = list(timed)
    for turn in range(_WARM_UP + repetitions):
        if progress:
            progress("profile", turn, _WARM_UP + repetitions)
        order.shuffle(shuffled)
        for part in shuffled:
            part.time(turn)
    if progress:
        progress("profile", _WARM_UP + repetitions, _WARM_UP + repetitions)


def _cost(bundle: Bundle, entry: PointEntry, seconds: dict[str, float], answer_bytes: float, cautious: bool) -> Cost:
    point = entry.point
    cut = bundle.manifest.cut(point.split, point.level)
    accuracy = _accuracy(entry, cautious)
    head_s = seconds.get(_PREPROCESS, 0.0) + seconds.get(_CHANGE, 0.0)
    head_s += seconds[refresh_key(point)] if point.incremental else _of(cut.head, seconds)
    if point.is_local:
        return Cost(head_s=head_s + seconds[_REDUCE], accuracy=accuracy)
    route = bundle.route(point)
    tail_s = _of(route.edge_half, seconds)
    return Cost(
        head_s=head_s,
        encode_s=seconds[_codec_key("encode", point)] + seconds[_READ],
        payload_bytes=entry.payload_bytes,
        decode_s=seconds[_codec_key("decode", point)] + seconds[_WRITE],
        tail_s=seconds[_REDUCE] + (seconds[_tail_key(point)] if route.has_incremental_tail else tail_s),
        answer_bytes=answer_bytes,
        finish_s=_of(cut.tail, seconds) + seconds[_REDUCE],
        accuracy=accuracy,
    )


def _accuracy(entry: PointEntry, cautious: bool) -> float | None:
    found = entry.accuracy
    if found is None:
        return None
    # The full network compared with itself: no other frames can make that less.
    certain = entry.point == OperatingPoint(OUTPUT) and found.metric not in _OF_LABELS and found.value == 1.0
    return found.low if cautious and not certain else found.value


def _of(half: Subgraph | None, seconds: dict[str, float]) -> float:
    return seconds[half.graph] if half else 0.0


def _answer_parts(bundle: Bundle, inputs: Sequence[Arrays]) -> dict[str, _Part]:
    """What an answer takes beside the network, with the answers to these inputs: made of the outputs, written, read."""
    asked = Message(bundle.digest, 0, OperatingPoint(OUTPUT), (), ())
    outputs = [bundle.head(OUTPUT).run(given) for given in inputs]
    answers = [bundle.answers.reduce(one) for one in outputs]
    written = [bundle.encode_answer(asked, one, edge_s=0.0) for one in answers]
    return {
        _REDUCE: _Part(bundle.answers.reduce, outputs),
        _WRITE: _Part(bundle.answers.write, answers),
        _READ: _Part(lambda data: bundle.decode_answer(data, asked.request), written),
    }
