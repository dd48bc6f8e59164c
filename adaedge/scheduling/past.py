"""Past: the frames before, as a policy sees them.

May import: nothing of adaedge.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Past:
    """The frames before, as a policy sees them.

    Attributes:
        memory: what it returned with its last choice; ``None`` at first.
        spent_j: joules that were really spent since then, with what the radio draws yet because of them.
        now_s: the time of this frame.
    """

    memory: object = None
    spent_j: float = 0.0
    now_s: float = 0.0


NOTHING = Past()
"""Before the first frame."""
