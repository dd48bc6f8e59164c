"""Cost: what one frame costs at one operating point.

May import: ``errors``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from adaedge.errors import ProfileError


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one frame at one operating point. Times are medians measured on the machine that runs the part.

    Attributes:
        head_s: terminal: from the frame to the features (all of the model where the point is local).
        encode_s: terminal: from the features to the payload, and from the answer's bytes to the answer.
        payload_bytes: mean bytes of a payload on the link, header included; 0 where the point is local.
        decode_s: edge server: from the payload to the features, and from the answer to its bytes.
        tail_s: edge server: from the features to the answer.
        answer_bytes: mean bytes of an answer on the link, header included.
        finish_s: terminal: from the features to the answer, when the edge server has not answered (0 where local).
        accuracy: measured accuracy of the point, in [0, 1]; ``None`` where it was not measured: then no floor is met.

    Raises:
        ProfileError: if a figure is negative, infinite or NaN, or the accuracy is no fraction.

    Example:
        >>> sent = Cost(head_s=0.04, payload_bytes=6e3, tail_s=0.01, finish_s=0.08, accuracy=0.96)
        >>> sent.head_s + sent.finish_s  # seconds on the terminal where the edge server does not answer
        0.12
    """

    head_s: float
    encode_s: float = 0.0
    payload_bytes: float = 0.0
    decode_s: float = 0.0
    tail_s: float = 0.0
    answer_bytes: float = 0.0
    finish_s: float = 0.0
    accuracy: float | None = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ProfileError(f"{field.name} is a finite number, at least 0; got {value}")
        if self.accuracy is not None and self.accuracy > 1:
            raise ProfileError(f"accuracy is a fraction in [0, 1]; got {self.accuracy}")

    @property
    def terminal_s(self) -> float:
        """Seconds that the terminal computes when the offload succeeds."""
        return self.head_s + self.encode_s

    @property
    def edge_s(self) -> float:
        """Seconds that the edge server computes."""
        return self.decode_s + self.tail_s

    def meets(self, accuracy_floor: float) -> bool:
        """Whether the point may be used under a floor: any may where there is none.

        Example:
            >>> Cost(0.1, accuracy=None).meets(0.0), Cost(0.1, accuracy=None).meets(0.5), Cost(0.1).meets(0.5)
            (True, False, True)
        """
        return accuracy_floor <= 0 or (self.accuracy is not None and self.accuracy >= accuracy_floor)

    def followed_by(self, other: Cost, share: float, accuracy: float | None) -> Cost:
        """The mean cost of a frame that always runs at this point, and for a share of the frames at another too.

        Args:
            other: the second point's.
            share: of the frames, those that go on.
            accuracy: of both together.

        Example:
            >>> Cost(0.001).followed_by(Cost(0.01, payload_bytes=100), 0.5, accuracy=0.97).terminal_s
            0.006
        """
        return Cost(
            head_s=self.head_s + share * other.head_s,
            encode_s=self.encode_s + share * other.encode_s,
            payload_bytes=share * other.payload_bytes,
            decode_s=share * other.decode_s,
            tail_s=share * other.tail_s,
            answer_bytes=share * other.answer_bytes,
            finish_s=share * other.finish_s,
            accuracy=accuracy,
        )

    def towards(self, other: Cost, share: float) -> Cost:
        """The cost that lies so far on the way to another, figure by figure; the accuracy stays.

        Example:
            >>> Cost(head_s=0.1, payload_bytes=100).towards(Cost(head_s=0.1, payload_bytes=300), 0.25).payload_bytes
            150.0
        """
        names = [field.name for field in fields(self) if field.name != "accuracy"]
        ends = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return replace(self, **{name: (1 - share) * start + share * end for name, (start, end) in ends.items()})
