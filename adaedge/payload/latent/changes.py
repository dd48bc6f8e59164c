"""Changes of latents ⇄ an entropy coder's stack, by tables that were fitted on clips.

May import: ``errors``, ``payload.entropy``; of this part ``change_tables``, ``contexts``, ``loops``, ``tables``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import PayloadError
from adaedge.payload.entropy import Stack
from adaedge.payload.latent import loops
from adaedge.payload.latent.change_tables import ESCAPE, ROWS, STEP_BITS, ChangeTables
from adaedge.payload.latent.contexts import Contexts, Group, pace_row
from adaedge.payload.latent.tables import LIMIT, pop_values, push_values

Sample = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], int]
"""What is held of a sample once a payload is known: latents, activity, pace."""
Coded = list[tuple[Array, Array, int]]
"""Of each group its tables' rows, its symbols, and how many of these are escapes."""


def changes_of(symbols: Array, held: Array) -> Array:
    """Symbols as changes; of an escape something that is replaced."""
    turned = np.where(symbols & 1, (symbols + 1) >> 1, -(symbols >> 1))
    found: Array = np.where(held > 0, -turned, turned)
    return found


@dataclass(slots=True)
class Progress:
    """One frame of one sample, group after group, as both ends see it.

    Attributes:
        tables: how changes are coded.
        contexts: of the rate.
        held: what both ends hold, at this rate's step.
        activity: of each coefficient.
        pace: row of how many changed in the frame before.
        changes: int32, filled in group by group.
        sizes: uint8, their magnitudes, at most 2; one more, which is 0.
        moved: how many there are so far.
    """

    tables: ChangeTables
    contexts: Contexts
    held: Array
    activity: Array
    pace: int
    changes: Array = field(init=False)
    sizes: Array = field(init=False)
    moved: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.changes = np.zeros(len(self.contexts), np.int32)
        self.sizes = np.zeros(len(self.contexts) + 1, np.uint8)

    def groups(self) -> Iterator[tuple[Group, Array]]:
        """Each group and its tables' rows; before the next is asked for, its changes are known."""
        said, of, count = self.tables.said, self.contexts, len(self.contexts)
        scores = np.empty(count, np.int32)
        tables = said.of_class, said.of_activity, said.of_around
        loops.LOOPS.scores(self.activity, of.around, of.classes, *tables, scores)
        rows, pace = np.empty(count, np.uint32), self.pace
        for at, group in enumerate(of.groups):
            own = rows[group.all]
            known = scores[group.all], self.sizes, group.near, group.first_row, said.of_near, self.held[group.all]
            loops.LOOPS.rows(*known, self.tables.base(at, pace), STEP_BITS, ROWS, own)
            yield group, own
            pace = pace_row(self.moved, group.stop)

    def after(self) -> Sample:
        """What is held once all groups are known."""
        held, activity = np.empty(len(self.held), np.int16), np.empty(len(self.held), np.uint8)
        moved = loops.LOOPS.after(self.held, self.changes, self.activity, held, activity)
        return held, activity, pace_row(moved, len(held))


def choose(progress: Progress, coefficients: Array, order: Array, scale: float) -> Coded:
    """For each group rows and symbols of the changes that are worth sending; these are the progress's ``changes``.

    Args:
        progress: the frame.
        coefficients: float64, where all coefficients really are.
        order: which of them are sent.
        scale: what they are multiplied by, to be in steps.
    """
    thresholds, coded = progress.tables.thresholds[progress.pace], []
    for group, rows in progress.groups():
        held, changes, sizes = (one[group.all] for one in (progress.held, progress.changes, progress.sizes))
        symbols = np.empty(len(rows), np.int32)
        where = coefficients, order[group.all], scale, held, rows, thresholds
        moved, escaped = loops.LOOPS.choose(*where, LIMIT, ESCAPE, changes, symbols, sizes)
        progress.moved += moved
        coded.append((rows, symbols, escaped))
    return coded


def push(stack: Stack, progress: Progress, coded: Coded) -> None:
    """A frame's changes onto a stack: the last group first, so that the first lies on top."""
    for group, (rows, symbols, escaped) in reversed(list(zip(progress.contexts.groups, coded, strict=True))):
        if escaped:
            new = progress.held[group.all] + progress.changes[group.all]
            push_values(stack, new[symbols == ESCAPE])
        stack.push(symbols, rows, progress.tables.coded)


def pop(stack: Stack, progress: Progress) -> None:
    """A frame's changes from a stack; they are the progress's ``changes``.

    Raises:
        PayloadError: if a coefficient leaves the range that it has.
    """
    for group, rows in progress.groups():
        held, changes, sizes = (one[group.all] for one in (progress.held, progress.changes, progress.sizes))
        symbols = stack.pop(rows, progress.tables.coded)
        moved = np.flatnonzero(symbols)
        before, own = held[moved], changes_of(symbols[moved], held[moved])
        escaped = symbols[moved] == ESCAPE
        if (count := int(np.count_nonzero(escaped))) > 0:
            own[escaped] = pop_values(stack, count) - before[escaped]
        if moved.size and int(np.abs(before + own).max()) > LIMIT:
            raise PayloadError(f"corrupted payload: a latent passes {LIMIT}, which none does")
        changes[moved], sizes[moved] = own, np.minimum(np.abs(own), 2)
        progress.moved += int(np.count_nonzero(own))
