"""Ledger: what offloading has saved so far, and so what it may cost.

May import: nothing of adaedge. Pure: every method returns a new ledger.

**Bound.** Let L be the joules of the best local point that keeps the floor, over any number of frames in a row, and A
what the terminal really spent on them, probes and the radio's falling asleep included. Every frame puts
``(1 + share)·local`` to the balance and subtracts what was spent. The radio is used only if the balance, less what
the radio has yet to draw, stays at ``-credit`` or above when the whole cost of using it is taken. So

    from the first frame on:   A ≤ (1 + share)·L + credit + one exchange
    over any window of frames: A ≤ (1 + share)·L + credit + one exchange + what was in the ledger before the window

where *one exchange* is what one probe or one offload can take beyond what was expected of it: after it the ledger is
below that, and no other exchange is made until the balance has grown again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

SHARE = 0.002
"""Of the joules of always local, what looking for something better may cost for ever."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A balance of joules.

    Attributes:
        credit_j: what may be spent before anything was earned: what the first contact with the edge server may cost.
            Infinite where there is no local point to compare with; then nothing is refused.
        share: of the local joules, what is put by at every frame.
        balance_j: what the frames so far would have cost locally, with the share, less what they did cost.
        owed_j: what the radio will draw yet, if it is left alone.

    Example:
        >>> ledger = Ledger(credit_j=10.0, share=0.01)
        >>> ledger.covers(9.0), ledger.covers(11.0)
        (True, False)
        >>> ledger = ledger.earned(1.0).settled(spent_j=0.51, owed_j=9.0)
        >>> round(ledger.balance_j, 6), ledger.covers(1.0), ledger.covers(2.0)
        (0.5, True, False)
    """

    credit_j: float = math.inf
    share: float = SHARE
    balance_j: float = 0.0
    owed_j: float = 0.0

    def earned(self, local_j: float) -> Ledger:
        """After a frame that would have taken so many joules locally."""
        # At every frame: `replace` would take five times as long.
        return Ledger(self.credit_j, self.share, self.balance_j + (1 + self.share) * local_j, self.owed_j)

    def settled(self, spent_j: float, owed_j: float) -> Ledger:
        """After joules were spent; ``owed_j`` is what the radio will draw yet, if it is left alone."""
        return replace(self, balance_j=self.balance_j - spent_j, owed_j=owed_j)

    def covers(self, cost_j: float, *, on_credit: bool = True) -> bool:
        """Whether so many joules more may be risked, on credit or out of what was earned."""
        return self.balance_j - self.owed_j - cost_j >= (-self.credit_j if on_credit else 0.0)
