"""KeptAnswers: which answer of a replay may be kept for a frame, and which such frames are audited.

May import: ``errors``, ``operating_point``, ``scheduling``, ``stream``; of this part ``changes``, ``references``.
"""

from __future__ import annotations

from typing import final

from adaedge.operating_point import KEPT, LastAnswer, OperatingPoint, Profile
from adaedge.scheduling import Scheduler
from adaedge.simulation.changes import Changes, ClipChanges
from adaedge.simulation.references import Costs
from adaedge.stream.audit import Audit
from adaedge.stream.detectors import check_detector


@final
class KeptAnswers:
    """The last answer that was computed, as a terminal's stream has it; one in 50 frames that could keep it is audited.

    There is no answer to be right or wrong: an audit costs what it costs, and finds what the curve promised.

    Args:
        costs: of which a profile says how good a kept answer is.
        scheduler: knows the floor.
        changes: as the detector sees them that the profile's curve was fitted with; ``None``: no answer is kept.

    Raises:
        ScheduleError: if they are those of a clip, as another detector sees them.
    """

    def __init__(self, costs: Costs, scheduler: Scheduler, changes: Changes | None) -> None:
        curve = costs.kept if isinstance(costs, Profile) and scheduler.keeping else None
        if isinstance(changes, ClipChanges):
            check_detector(curve, changes.detector)
        self._scheduler = scheduler
        self._changes = None if curve is None else changes
        self._audit = Audit()
        self.last: LastAnswer | None = None

    def changes(self, frame: int) -> dict[OperatingPoint, float]:
        """How much a frame changed since the one of the last answer; nothing for a frame that is audited."""
        if self._changes is None or self.last is None:
            return {}
        changes = {KEPT: self._changes.of(frame, self.last.frame)}
        if self._scheduler.kept_accuracy(changes, self.last) is None:
            return changes
        due = self._audit.due
        self._audit = self._audit.missed() if due else self._audit.passed()
        return {} if due else changes

    def decided(self, frame: int, point: OperatingPoint) -> None:
        """A frame is answered at this point, there or by the local finish after it."""
        if point != KEPT:
            self.last = LastAnswer(frame, point)
