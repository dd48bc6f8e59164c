"""Provenance: how a figure is known.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Provenance(StrEnum):
    """How a figure is known. Figures of different provenance never share a column."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    PRESET = "preset"
    ASSUMED = "assumed"
    MODELLED = "modelled"


WORST_FIRST = (
    Provenance.ASSUMED,
    Provenance.MODELLED,
    Provenance.PRESET,
    Provenance.CALIBRATED,
    Provenance.MEASURED,
)


def worst(known: Iterable[Provenance]) -> Provenance:
    """The label of a group of figures: that of the one that is known the least.

    Example:
        >>> worst([Provenance.PRESET, Provenance.ASSUMED]).value
        'assumed'
    """
    return min(known, key=WORST_FIRST.index)


def describe(groups: dict[str, Provenance]) -> str:
    """How groups of figures are known, in a few words, the best known first.

    Example:
        >>> describe({"uplink": Provenance.ASSUMED, "downlink": Provenance.ASSUMED, "tail": Provenance.PRESET})
        'tail preset, others assumed'
        >>> describe({"uplink": Provenance.PRESET})
        'preset'
    """
    known = [kind for kind in reversed(WORST_FIRST) if kind in groups.values()]
    if len(known) == 1:
        return known[0].value
    named = [f"{', '.join(name for name, kind in groups.items() if kind is one)} {one.value}" for one in known[:-1]]
    return ", ".join([*named, f"others {known[-1].value}"])
