"""Changes of latents ⇄ an entropy coder's stack, by tables that were fitted on clips.

May import: ``errors``, ``payload.entropy``; of this part ``change_tables``, ``contexts``, ``tables``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.errors import PayloadError
from adaedge.payload.entropy import Stack
from adaedge.payload.latent.change_tables import ESCAPE, ChangeTables
from adaedge.payload.latent.contexts import Contexts, Group, pace_row
from adaedge.payload.latent.tables import LIMIT, pop_values, push_values

Array = npt.NDArray[Any]

Coded = list[tuple[Array, Array]]
"""Of each group its tables' rows, and its symbols."""


def symbols_of(change: Array, held: Array) -> Array:
    """Changes as symbols; the escape where one is too large."""
    turned = np.where(held > 0, -change, change)
    symbols = 2 * np.abs(turned) - (turned > 0)
    found: Array = np.minimum(symbols, ESCAPE).astype(np.int32)
    return found


def changes_of(symbols: Array, held: Array) -> Array:
    """The inverse; of an escape something that is replaced."""
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
    """

    tables: ChangeTables
    contexts: Contexts
    held: Array
    activity: Array
    pace: int

    def groups(self) -> Iterator[tuple[Group, Array, Array]]:
        """Each group, its tables' rows, and where its changes are written, before the next is asked for."""
        scores = self.tables.scores(self.contexts.classes, *self.contexts.before(self.activity))
        count = len(self.contexts)
        sizes = np.zeros(count + 1, np.uint8)
        changes = np.zeros(count, np.int32)
        pace, seen = self.pace, 0
        for at, group in enumerate(self.contexts.groups):
            held = self.held[group.start : group.stop]
            own = changes[group.start : group.stop]
            own_scores = scores[group.start : group.stop]
            yield group, self.tables.rows(own_scores, group.near_rows(sizes), at, pace, held), own
            sizes[group.start : group.stop] = np.minimum(np.abs(own), 2)
            seen += int(np.count_nonzero(own))
            pace = pace_row(seen, group.stop)


def choose(progress: Progress, values: Array) -> tuple[Array, Coded]:
    """The changes that are worth sending, and for each group rows and symbols.

    Args:
        progress: the frame.
        values: where the coefficients really are, in steps.
    """
    coded, every = [], []
    thresholds = progress.tables.thresholds[progress.pace]
    for group, rows, own in progress.groups():
        held = progress.held[group.start : group.stop]
        apart = values[group.start : group.stop] - held
        moved = np.flatnonzero(np.abs(apart) >= np.take(thresholds, rows))  # few: the rest is done on these alone
        symbols = np.zeros(len(own), np.int32)
        if moved.size:
            before, apart = held[moved], apart[moved]
            whole = np.copysign(np.maximum(np.floor(np.abs(apart) + 0.5), 1), apart)
            own[moved] = np.clip(before + whole, -LIMIT, LIMIT) - before
            symbols[moved] = symbols_of(own[moved], before)
        every.append(own)
        coded.append((rows, symbols))
    return np.concatenate(every), coded


def push(stack: Stack, progress: Progress, change: Array, coded: Coded) -> None:
    """A frame's changes onto a stack: the last group first, so that the first lies on top."""
    for group, (rows, symbols) in reversed(list(zip(progress.contexts.groups, coded, strict=True))):
        escaped = np.flatnonzero(symbols == ESCAPE)
        if escaped.size:
            held, own = progress.held[group.start : group.stop], change[group.start : group.stop]
            push_values(stack, held[escaped] + own[escaped])
        stack.push(symbols, rows, progress.tables.coded)


def pop(stack: Stack, progress: Progress) -> Array:
    """A frame's changes from a stack.

    Raises:
        PayloadError: if a coefficient leaves the range that it has.
    """
    every = []
    for group, rows, own in progress.groups():
        held = progress.held[group.start : group.stop]
        symbols = stack.pop(rows, progress.tables.coded)
        moved = np.flatnonzero(symbols)
        own[moved] = changes_of(symbols[moved], held[moved])
        escaped = np.flatnonzero(symbols == ESCAPE)
        if escaped.size:
            own[escaped] = pop_values(stack, escaped.size) - held[escaped]
        if group.stop > group.start and int(np.abs(held + own).max()) > LIMIT:
            raise PayloadError(f"corrupted payload: a latent passes {LIMIT}, which none does")
        every.append(own)
    return np.concatenate(every)
