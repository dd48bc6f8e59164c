"""Temporal filtering: an answer is given again while the latent moved by less than a tolerance since its frame.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``, ``bundle``; of this part ``window``. ``replay``
and ``largest_tolerance`` decide from arrays alone; a `Stream` remembers the answer. Why a tolerance is in nats:
``docs/explanation/noisy-links.md``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.bundle import Bundle
from adaedge.engine import Arrays
from adaedge.errors import CodecError, ScheduleError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import is_progressive
from adaedge.stream.window import Window

Latent = npt.NDArray[np.float64]

_TOLERANCES = tuple(2.0 ** (half / 2) for half in range(-24, 9))


@dataclass(frozen=True, slots=True)
class Filtered:
    """The result of filtering a clip.

    Attributes:
        tolerance: by how many nats a latent may move unsent (1 − cosine where the network has no classes).
        sent: fraction of the frames that are sent.
        agreement: fraction of the frames whose answer is what sending every frame would have answered.
    """

    tolerance: float
    sent: float
    agreement: float


def replay(latents: Sequence[npt.NDArray[Any]], answers: Sequence[Hashable], tolerance: float) -> Filtered:
    """Filter a clip.

    Args:
        latents: of each frame, as ``coefficients`` makes them.
        answers: to each frame, had it been sent.
        tolerance: a frame is sent unless it moved by less, since the last frame that was sent.

    Raises:
        ScheduleError: if there are no frames.

    Example:
        >>> latents = [np.full((1, 1, 1), value) for value in (0.0, 0.1, 0.2, 0.3)]
        >>> replay(latents, ["cat", "cat", "dog", "dog"], tolerance=0.03)  # half of 0.3² is 0.045, half of 0.2² 0.02
        Filtered(tolerance=0.03, sent=0.5, agreement=0.75)
    """
    from adaedge.payload.latent import moved  # late, as in `latent_of`

    if not latents:
        raise ScheduleError("a clip without frames was given to filter; give a few hundred frames")
    last, sent, agreed = 0, 0, 0
    for index, latent in enumerate(latents):
        if index == 0 or moved(latents[last], latent) >= tolerance:
            last, sent = index, sent + 1
        agreed += answers[index] == answers[last]
    return Filtered(tolerance, sent / len(latents), agreed / len(latents))


def largest_tolerance(latents: Sequence[npt.NDArray[Any]], answers: Sequence[Hashable], floor: float) -> Filtered:
    """The largest tolerance below which no smaller one breaks the floor: half an octave apart, 2⁻¹² to 16 nats.

    Args:
        latents: of each frame of a clip.
        answers: to each frame, had it been sent.
        floor: least agreement with sending every frame, as a fraction.

    Returns:
        The result; tolerance 0, with which every frame is sent, where nothing else keeps the floor.
    """
    best = replay(latents, answers, 0.0)
    for tolerance in _TOLERANCES:
        found = replay(latents, answers, tolerance)
        if found.agreement < floor:
            break
        best = found
    return best


def calibrate_tolerance(bundle: Bundle, point: OperatingPoint, frames: Iterable[Any], *, floor: float) -> Filtered:
    """`largest_tolerance` of a clip at an operating point of a bundle.

    Args:
        bundle: the model.
        point: whose codec is a bottleneck.
        frames: what ``Terminal.infer`` takes; frames of the camera that will be used, in order.
        floor: least agreement with sending every frame, as a fraction.

    Raises:
        CodecError: if the point's codec is no bottleneck.
        ScheduleError: if there are no frames, or the bundle's answers are no classes.
    """
    latents, answers = [], []
    window = Window(bundle.manifest.preprocessing)
    for frame in frames:
        inputs = window.inputs_of(frame)
        latent = latent_of(bundle, point, bundle.head(point.split, point.level).run(inputs))
        if latent is None:
            raise CodecError(f"{point} has no latent to look at; choose a point whose codec is bottleneck@RATE")
        latents.append(latent.astype(np.float32))
        answer = bundle.run(point, inputs)
        best = bundle.answers.best_class(answer)
        if best is None:
            raise ScheduleError("a tolerance keeps the class that was answered, and this bundle answers none")
        answers.append(best)
    return largest_tolerance(latents, answers, floor)


def latent_of(bundle: Bundle, point: OperatingPoint, features: Arrays) -> Latent | None:
    """The coefficients of what a head returned; ``None`` where the point's codec is no bottleneck."""
    codec = None if point.is_local else bundle.codec(bundle.resolve(point))
    if not is_progressive(point.codec):
        return None
    from adaedge.payload.latent import LatentCodec, coefficients  # late: who sends no latents needs neither

    return coefficients(codec.latents, features) if isinstance(codec, LatentCodec) else None
