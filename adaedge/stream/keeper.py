"""Keeper: the last answer that a stream computed, the frame it was computed for, and whether it may be kept.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``, ``bundle``, ``metrics``; of this part ``audit``,
``change``, ``detectors``, ``filtering``.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from adaedge.bundle import Bundle
from adaedge.engine import Arrays
from adaedge.errors import CodecError, MetricError, ScheduleError
from adaedge.operating_point import LastAnswer, OperatingPoint
from adaedge.stream.audit import EVERY, TOGETHER, Audit
from adaedge.stream.change import ChangeDetector
from adaedge.stream.detectors import check_detector, look_by
from adaedge.stream.filtering import Latent, latent_of

if TYPE_CHECKING:
    from adaedge.metrics import Metric


@dataclass(frozen=True, slots=True)
class Keeping:
    """How the answers of a stream are kept.

    Attributes:
        detector: measures how much changed since the last answer; the bundle's own where it is ``None``.
        audit_every: one frame in so many whose answer could be kept is computed to see whether it is right; 0 for none.
        metric: compares the two answers; the bundle's where it is ``None``.
        tolerance: at points with a bottleneck, a latent that moved by less than so many nats is not sent; 0 sends all.
        floor: least accuracy of an answer; at 0, or where the bundle's curve is nowhere above it, none is kept by what
            changed, and that is not measured. A terminal sets it to its scheduler's.

    Raises:
        ScheduleError: if the tolerance is no number from 0, or no frame in so many can be audited.
    """

    detector: ChangeDetector | None = None
    audit_every: int = EVERY
    metric: Metric | None = None
    tolerance: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ScheduleError(f"a tolerance is 0, which sends every frame, or some nats more; got {self.tolerance}")
        if self.audit_every < 0 or self.audit_every == 1:
            raise ScheduleError(
                f"one kept frame in audit_every is computed: 2 or more, or 0 for none; got {self.audit_every}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Computed:
    """An answer, and what it was computed for.

    Attributes:
        frame: number of its frame.
        look: what a change since is measured on; ``None`` where nothing can be compared.
        seen: how many frames the window had seen.
        latent: what crossed, at a point with a bottleneck.
    """

    answer: Arrays
    frame: int
    point: OperatingPoint
    look: Any
    seen: int
    latent: Latent | None


@final
class Keeper:
    """The last computed answer of a stream. Its frames take turns.

    Args:
        bundle: the model.
        how: how answers are kept.

    Attributes:
        audit: what audits have found so far.

    Raises:
        ScheduleError: if the detector is not the one that the bundle's curve was fitted with.
    """

    def __init__(self, bundle: Bundle, how: Keeping) -> None:
        self._bundle, self._tolerance = bundle, how.tolerance
        curve, detector = bundle.manifest.kept, check_detector(bundle.manifest.kept, how.detector)
        reach = curve.largest_change(how.floor) if curve and how.floor > 0 else None
        self._detector = None if reach is None else detector
        self._metric = how.metric or (_metric_named(curve.metric) if curve else None)
        self.audit = Audit(how.audit_every if self._metric else 0, reach or 0.0)
        self._audited: deque[tuple[Arrays, Arrays]] = deque(maxlen=TOGETHER)
        self._computed: _Computed | None = None
        self._look: Any = None

    @property
    def measures(self) -> bool:
        """Whether answers are kept by what changed."""
        return self._detector is not None

    @property
    def last(self) -> LastAnswer | None:
        """The last answer as a scheduler sees it; ``None`` where there is none."""
        held = self._computed
        return None if held is None else LastAnswer(held.frame, held.point, self.audit.correction)

    def change(self, picture: Any, new_share: float, luma: Any = None) -> float | None:
        """How much a frame changed since the one of the last answer; ``None`` where that cannot be kept.

        Args:
            picture: uint8 (H, W, 3); ``None`` where there is none.
            new_share: of a window, what share of its frames is new.
            luma: what `BlockChange` compares of it, where that is at hand.
        """
        if self._detector is None:
            return None
        self._look = None if picture is None else look_by(self._detector, picture, luma)
        held = self._computed
        if held is None or held.look is None or self._look is None:
            return None
        return max(self._detector.change(held.look, self._look), new_share)

    @property
    def seen(self) -> int:
        """How many frames the window had seen at the last answer."""
        return self._computed.seen if self._computed else 0

    def answer(self) -> Arrays:
        """The last answer again. A copy: the caller may write into it."""
        assert self._computed is not None
        return _copied(self._computed.answer)

    def computed(
        self, answer: Arrays | None, frame: int, point: OperatingPoint, seen: int, latent: Latent | None = None
    ) -> None:
        """Hold this answer as the last one from now on.

        Args:
            answer: of the frame whose change was asked for last; ``None`` for none that may be kept.
            frame: its number.
            point: where it was computed.
            seen: how many frames the window has seen.
            latent: what crossed, at a point with a bottleneck.
        """
        if answer is None:
            self._computed = None
        elif self._detector is not None or latent is not None:
            self._computed = _Computed(_copied(answer), frame, point, self._look, seen, latent)

    def audited(self, answer: Arrays | None, promised: float) -> float | None:
        """Hold a computed answer against the one that would have been kept.

        Returns:
            The score, with those of the last audits; ``None`` where there is none.

        Args:
            answer: what was computed; ``None`` where nothing that can be compared was.
            promised: what the kept answer scores at least by the curve.
        """
        if answer is None or self._metric is None or self._computed is None:
            self.audit = self.audit.missed()
            return None
        self._audited.append((answer, self._computed.answer))
        try:
            score = self._metric.score(*zip(*self._audited, strict=True)).value
        except MetricError:  # of a class that neither of them shows, say
            self.audit = self.audit.missed()
            return None
        self.audit = self.audit.found(score, promised)
        return score

    def latent(self, point: OperatingPoint, features: Arrays) -> Latent | None:
        """What is compared; ``None`` where nothing is filtered, or the features hold what no bottleneck carries."""
        if not self._tolerance:
            return None
        try:
            return latent_of(self._bundle, point, features)
        except CodecError:
            return None  # sending them says what is wrong

    def standing(self, point: OperatingPoint, latent: Latent | None) -> Arrays | None:
        """The answer, if it may be given again: it is of this point, and the latent moved less than the tolerance."""
        held = self._computed
        if latent is None or held is None or held.latent is None or held.point != point:
            return None
        from adaedge.payload.latent import moved  # late: who sends no latents needs none of it

        return None if moved(held.latent, latent) >= self._tolerance else self.answer()


def _copied(outputs: Arrays) -> Arrays:
    return tuple(output.copy() for output in outputs)


def _metric_named(name: str) -> Metric | None:
    from adaedge.metrics import metric_named  # a terminal that keeps no answers starts without it

    return metric_named(name)
