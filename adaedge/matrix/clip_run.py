"""A clip, played through every operating point of a bundle: payloads really encoded, decoded and answered, in order.

May import: ``errors``, ``clip``, ``operating_point``, ``engine``, ``bundle``, ``stream``; of this part ``played_clip``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from adaedge.bundle import Bundle
from adaedge.clip import Clip, Frame
from adaedge.engine import Arrays
from adaedge.errors import SourceError
from adaedge.matrix.played_clip import CHANGES, ClipHalf, Luma, PlayedClip
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.stream import BlockChange, CachedHead, Playback, Window
from adaedge.stream.change import by_change

Progress = Callable[[str, int, int], None]

_LOCAL = OperatingPoint(OUTPUT)
_STRIDES = (4, 16)
"""A codec with a state is played at these strides too: what it sends after frames that it did not see."""
_TIMED = 8


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
) -> PlayedClip:
    """Play both halves of a clip through every point of a bundle.

    Args:
        bundle: the model.
        clip: what the camera saw.
        name: what the clip is called.
        period_s: seconds from a frame that is taken to the next; a clip of fewer frames a second is taken as it is.
        most: frames of each half at most.
        judged: whether the answers are kept: those of random weights say nothing.
        points: those to play; all by default. The full network is always among them.
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
        start_s = time.thread_time()  # on one core, whatever else the machine does
        window.inputs_of(frame)
        prepare_s.append(time.thread_time() - start_s)
    halves = [_played(bundle, part, wanted, judged, report) for part in (first, second)]
    return PlayedClip(name, halves[0], halves[1], float(np.median(prepare_s)), bundle.manifest.kept)


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
) -> ClipHalf:
    window, look = Window(bundle.manifest.preprocessing), BlockChange()
    changes = bundle.manifest.changes if len(bundle.manifest.changes) > 1 else CHANGES
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
                computed = _in_order(bundle, point, inputs) if point.incremental and judged else features
                given = [bundle.answers.reduce(one) for one in computed] if judged else []
            else:
                payloads[point], given = _sent(bundle, point, features, judged)
                if bundle.codecs.is_stateful(point):
                    by_bins[point] = _by_change(bundle, point, features, lumas, payloads[point], changes)
            if given:
                answers[point] = tuple(np.concatenate(each) for each in zip(*given, strict=True))
            report()
    return ClipHalf(lumas, payloads, by_bins, answers, tuple(point for point in wanted if point.is_local), changes)


def _in_order(bundle: Bundle, point: OperatingPoint, inputs: Sequence[Arrays]) -> list[Arrays]:
    """What an incremental head makes of frames, each after the one before."""
    cached, route = CachedHead(bundle), bundle.route(point)
    return [cached.run(route, one, None, 0) for one in inputs]


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
