"""What the terminal itself computes: from a frame to the features, and from the features to a local answer.

May import: ``errors``, ``operating_point``, ``engine``, ``bundle``, ``stream``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar, final

import numpy as np

from adaedge.bundle import Bundle
from adaedge.engine import Arrays, Engine
from adaedge.errors import BundleError, SourceError
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.runtime.clock import Clock
from adaedge.stream import Stream

P = ParamSpec("P")
T = TypeVar("T")


@final
class Stopwatch:
    """Seconds that the terminal computed for one frame."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.compute_s = 0.0

    def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns; its seconds are counted, whether it returns or raises."""
        start_s = self._clock.now_s()
        try:
            return function(*args, **kwargs)
        finally:
            self.compute_s += self._clock.now_s() - start_s

    def pad(self, compute_s: float) -> None:
        """Wait until so many seconds of computing are counted, as a slower processor would still be at it."""
        start_s = self._clock.now_s()
        self._clock.sleep_until(start_s + compute_s - self.compute_s)
        self.compute_s += self._clock.now_s() - start_s


def inputs_of(bundle: Bundle, stream: Stream, frame: Any) -> Arrays:
    """The model's inputs for the next frame of a stream: an image of any size, or the inputs as a tuple of arrays.

    Raises:
        SourceError: if the frame is not what the bundle takes.
    """
    inputs = stream.inputs_of(frame)
    came = [(part.dtype.name, part.shape) for part in inputs]
    taken = [(spec.dtype, tuple(spec.shape)) for spec in bundle.manifest.inputs]
    if came != taken:
        raise SourceError(f"a frame of this bundle is {_listed(taken)}; got {_listed(came)}")
    return inputs


def finisher(bundle: Bundle, point: OperatingPoint) -> Engine:
    """What turns the head's features into the answer when the edge server does not.

    At ``input`` it is the local model where the bundle has one: it is loaded anyway.
    """
    if bundle.manifest.cut(point.split, point.level).head is None:
        try:
            return bundle.head(OUTPUT, point.level)
        except BundleError:
            pass  # no local model at this width and precision: the tail is the whole model as well
    return bundle.tail(point.split, point.level)


def preload(bundle: Bundle, points: Iterable[OperatingPoint]) -> None:
    """Load and run once everything that these points may need, their local finish included."""
    points = tuple(points)
    for point in points:
        bundle.codec(point)
    zeros = tuple(np.zeros(spec.shape, spec.dtype) for spec in bundle.manifest.inputs)
    answers = bundle.answers
    for point in {(point.split, point.level): point for point in points}.values():
        outputs = finisher(bundle, point).run(bundle.head(point.split, point.level).run(zeros))
        answers.write(answers.reduce(outputs))


def _listed(kinds: list[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{dtype} {shape}" for dtype, shape in kinds)
