"""The conclusions of a matrix: where partial offload is the best mode, what techniques save, where radios differ.

May import: ``operating_point``; of this part ``rows``, ``techniques``. Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adaedge.matrix.rows import Row
from adaedge.matrix.techniques import ALL, JPEG, LOCAL, MODES, PARTIAL, VIDEO

MISSES = 0.02
"""Fraction of deadlines that may be missed by what still counts as meeting them."""
CLEARLY = 0.10
Cells = Mapping[tuple[str, ...], Mapping[str, Row]]


def cells_of(rows: Iterable[Row]) -> Cells:
    """Cell → mode or technique → its row."""
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        found.setdefault(row.cell, {})[row.mode_or_technique] = row
    return found


def counts(row: Row) -> bool:
    """Whether a mode's joules count: its point keeps the floor on the first half, and its answers are in time."""
    return row.chosen_to_keep_floor is not False and row.misses <= MISSES


def by_word(cell: Mapping[str, Row]) -> dict[str, Row]:
    """``local``, ``full``, ``partial`` → the cheapest row of it that counts."""
    found: dict[str, Row] = {}
    for mode in MODES:
        row = cell.get(mode)
        word = "full" if mode in (JPEG, VIDEO) else mode
        if row is not None and counts(row) and (word not in found or row.energy_j < found[word].energy_j):
            found[word] = row
    return found


def best_of(modes: Mapping[str, Row]) -> str | None:
    """The word of the cheapest; ``None`` where none counts."""
    return min(modes, key=lambda word: modes[word].energy_j, default=None)


def predicted_best(cell: Mapping[str, Row]) -> str | None:
    """The mode that the closed forecast said is the cheapest, of those that keep the floor."""
    said = {
        ("full" if mode in (JPEG, VIDEO) else mode): row.predicted_j
        for mode, row in sorted(cell.items(), key=lambda item: -(item[1].predicted_j or 0.0))
        if mode in MODES and row.chosen_to_keep_floor is not False and row.predicted_j is not None
    }
    return min(said, key=lambda word: said[word], default=None)


@dataclass(frozen=True, slots=True)
class Saving:
    """The saving of all techniques together in a cell, against the best mode without a scheduler.

    Attributes:
        cell: which one.
        against: the mode that it is compared with.
        fraction: of that mode's joules; negative where it costs.
        keeps_floor: whether the answers kept the floor on the second half.
    """

    cell: tuple[str, ...]
    against: str
    fraction: float
    keeps_floor: bool | None


def savings(rows: Iterable[Row]) -> list[Saving]:
    """The saving of each cell: all together against the cheapest of local, JPEG and H.264 that keeps its limits.

    A rival that broke the floor on the second half does not count: it was cheap for it gave worse answers.
    """
    found = []
    for name, cell in cells_of(rows).items():
        rivals = {
            mode: row
            for mode, row in cell.items()
            if mode in (LOCAL, JPEG, VIDEO) and counts(row) and row.keeps_floor is not False
        }
        if ALL in cell and rivals:
            best = min(rivals, key=lambda mode: rivals[mode].energy_j)
            spent = cell[ALL].energy_j
            saved = 1 - spent / rivals[best].energy_j if rivals[best].energy_j else 0.0
            found.append(Saving(name, best, saved, cell[ALL].keeps_floor))
    return found


def partial_cells(rows: Iterable[Row], by: float = CLEARLY) -> list[tuple[tuple[str, ...], float]]:
    """The cells in which partial offload is the best mode by so much, and by how much."""
    found = []
    for name, cell in cells_of(rows).items():
        modes = by_word(cell)
        others = [row.energy_j for word, row in modes.items() if word != PARTIAL]
        if PARTIAL in modes and others and min(others) > 0:
            ahead = 1 - modes[PARTIAL].energy_j / min(others)
            if ahead >= by:
                found.append((name, ahead))
    return sorted(found, key=lambda one: -one[1])


@dataclass(frozen=True, slots=True)
class Window:
    """How often the closed forecast named the best mode.

    Attributes:
        cells: how many were asked about.
        right: how many it named right.
        near: how many more it named a mode that takes at most 3 % more than the best.
        wrong: the others.
    """

    cells: int
    right: int
    near: int
    wrong: tuple[tuple[str, ...], ...]


NEAR = 0.03


def window(rows: Iterable[Row]) -> Window:
    """Held against what the replay found."""
    cells = right = near = 0
    wrong = []
    for name, cell in cells_of(rows).items():
        modes, said = by_word(cell), predicted_best(cell)
        best = best_of(modes)
        if best is None or said is None:
            continue
        cells += 1
        if said == best:
            right += 1
        elif said in modes and modes[said].energy_j <= (1 + NEAR) * modes[best].energy_j:
            near += 1
        else:
            wrong.append(name)
    return Window(cells, right, near, tuple(wrong))


def flips(rows: Iterable[Row]) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """Cells but for their radio in which radios disagree on the best mode: radio → that mode."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for name, cell in cells_of(rows).items():
        best = best_of(by_word(cell))
        if best is not None:
            *others, radio, link = name
            found.setdefault((*others, link), {})[radio] = best
    return [(name, best) for name, best in found.items() if len({*best.values()}) > 1]


def median_saving(found: Sequence[Saving]) -> float | None:
    """Over cells; ``None`` over none."""
    return statistics.median(one.fraction for one in found) if found else None
