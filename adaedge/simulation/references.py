"""HeldFrames: of which frame both ends hold a payload in a replay, or the terminal's head what it computed.

From that follows how much each payload has to carry, and an incremental head to compute.

May import: ``operating_point``, ``payload``, ``stream``; of this part ``changes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from adaedge.operating_point import REFRESH, Cost, Decision, Level, OperatingPoint, Profile
from adaedge.payload import codec_family, is_stateful
from adaedge.simulation.changes import Changes
from adaedge.stream import HeldPayload
from adaedge.stream.cached_head import merged

Costs = Profile | Mapping[OperatingPoint, Cost]


@final
class HeldFrames:
    """The frames that both ends of a replayed link hold: `HeldPayload` of frame numbers, as in a terminal's stream.

    Args:
        costs: the points that have costs at several amounts of change are those whose codecs or heads have a state.
        changes: of the frames; ``None``: nothing is ever held.
    """

    def __init__(self, costs: Costs, changes: Changes | None) -> None:
        self._changes = changes
        by_change = costs.next_costs if changes and isinstance(costs, Profile) else ()
        self._heads = [point for point in by_change if point.incremental]
        self._stateful = frozenset(point for point in by_change if not point.incremental or is_stateful(point.codec))
        self._computed: tuple[tuple[str, Level], int] | None = None  # the incremental head that ran last, and its frame
        self._held: HeldPayload[tuple[str, int]] = HeldPayload(self._stateful, _accepts)

    @property
    def sent_ratio(self) -> Mapping[OperatingPoint, float]:
        """The ratio of sent to predicted bytes, as a stream has it."""
        return self._held.sent_ratio

    def step(self, frame: int) -> float | None:
        """How much a frame changed against the one before; ``None`` where that is not known."""
        if self._changes is None:
            return None
        return self._changes.of(frame, frame - 1) if frame else REFRESH

    def changes(self, frame: int) -> dict[OperatingPoint, float]:
        """How much a frame changed against what is held, for each point that can build upon it."""
        codecs, heads = self._held.changes(lambda left: self._since(left, frame)), {}
        if self._computed is not None:
            place, before = self._computed
            change = self._since(("", before), frame)
            heads = {one: change for one in self._heads if (one.split, one.level) == place}
        return merged(codecs, heads, self._heads, self._stateful)

    def compute(self, point: OperatingPoint, frame: int) -> float:
        """The change by which the terminal's computing is priced now; an incremental head holds the frame from now on.

        Where a frame has to be computed whole although little changed, as a real head may, is not modelled.
        """
        if not point.incremental:
            return REFRESH
        change = self.changes(frame).get(point, REFRESH)
        self._computed = (point.split, point.level), frame
        return change

    def take(self, point: OperatingPoint, frame: int) -> float:
        """The change by which the payload made now is priced; nothing is held from now on.

        An incremental head holds what it computed of this frame from now on.
        """
        head = self.compute(point, frame)
        left = self._held.take(point)
        if point.incremental:
            return head
        usable = left is not None and point in self._stateful and _accepts(point, left)
        return self._since(left, frame) if left is not None and usable else REFRESH

    def answered(self, decision: Decision, frame: int, payload_bytes: int) -> None:
        """The payload of a frame was answered: both ends hold it, and its length is known."""
        self._held.sent(decision, payload_bytes)
        self._held.keep(decision.point, (decision.point.codec, frame) if decision.point in self._stateful else None)

    def _since(self, left: tuple[str, int], frame: int) -> float:
        assert self._changes is not None  # else nothing is held
        return self._changes.of(frame, left[1])


def _accepts(point: OperatingPoint, left: tuple[str, int]) -> bool:
    return codec_family(point.codec) == codec_family(left[0])


def whole_bytes(payload_bytes: Any) -> Any:
    """How many bytes cross, of a number that was interpolated; arrays too. What only rounding adds is no byte.

    Example:
        >>> float(whole_bytes(70.2)), float(whole_bytes(70.0 + 1e-12))
        (71.0, 70.0)
    """
    return np.ceil(payload_bytes - 1e-6)


def cost_at(costs: Costs, point: OperatingPoint, change: float) -> Cost:
    """The cost of a frame that changed so much; a table without amounts of change has refreshes only."""
    return costs.at(point, change) if isinstance(costs, Profile) else costs[point]
