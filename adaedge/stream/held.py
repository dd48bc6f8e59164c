"""Which payload both ends of a link hold, and which points can build upon it: the rules that carry all state on a link.

May import: ``operating_point``. A terminal's `Stream` and the simulation follow them by this one piece of code; what
they remember of a payload differs, and is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, final

from adaedge.operating_point import REFRESH, Decision, OperatingPoint

_NEW = 0.2  # weight of the last payload in what is learned of a stream's lengths, on a logarithmic scale
_MOST = 8.0  # a prediction is corrected by at most so much

Left = TypeVar("Left")


@final
class HeldPayload(Generic[Left]):
    """The last payload of a stream that both ends are known to hold, if there is one.

    It is taken when a payload is made, whatever that builds upon, and another is put in place only when that one was
    answered: after any failure nothing is held. Frames that send nothing leave it as it is.

    Args:
        stateful: the points whose codecs have a state.
        accepts: whether a point's codec can build upon what a payload at the same place left.

    Attributes:
        sent_ratio: of points whose codec has a state, how many times the predicted bytes their payloads really had.

    Example:
        >>> coarse, fine = OperatingPoint("input", codec="h264@28"), OperatingPoint("input", codec="h264@20")
        >>> held = HeldPayload([coarse, fine], lambda point, codec: point.codec == codec)
        >>> held.keep(coarse, "h264@28")
        >>> held.changes(lambda codec: 0.03)
        {OperatingPoint(split='input', width=1.0, precision='fp32', codec='h264@28', network='full', incremental=False): 0.03}
        >>> held.take(coarse), held.take(coarse)
        ('h264@28', None)
    """  # noqa: E501

    def __init__(self, stateful: Iterable[OperatingPoint], accepts: Callable[[OperatingPoint, Left], bool]) -> None:
        self.sent_ratio: dict[OperatingPoint, float] = {}
        self._stateful = list(stateful)
        self._accepts = accepts
        self._held: tuple[OperatingPoint, Left, list[OperatingPoint]] | None = None

    def changes(self, since: Callable[[Left], float]) -> dict[OperatingPoint, float]:
        """How much a frame changed against what both ends hold, for each point that can build upon it.

        Args:
            since: the change against the frame of the payload that left this; asked only where one is held.
        """
        if self._held is None:
            return {}
        _, left, successors = self._held
        return dict.fromkeys(successors, since(left))

    def take(self, point: OperatingPoint) -> Left | None:
        """What the payload that is made now may build upon, if its codec accepts it; nothing is held from now on."""
        held, self._held = self._held, None
        return held[1] if held is not None and held[0].place == point.place else None

    def keep(self, point: OperatingPoint, left: Left | None) -> None:
        """Hold what a payload left, now that the edge server is known to hold it too; ``None`` where it does not."""
        if left is None:
            self._held = None
            return
        places = [other for other in self._stateful if other.place == point.place]
        self._held = point, left, [other for other in places if self._accepts(other, left)]

    def sent(self, decision: Decision, payload_bytes: int) -> None:
        """Learn from a payload that built upon another how far its predicted length was from the real one."""
        point, known = decision.point, self.sent_ratio.get(decision.point, 1.0)
        if decision.change < REFRESH and decision.payload_bytes > 0:
            found = known * payload_bytes / decision.payload_bytes
            self.sent_ratio[point] = known ** (1 - _NEW) * min(max(found, 1 / _MOST), _MOST) ** _NEW
