"""Provenance: how a figure is known.

May import: nothing of adaedge.
"""

from __future__ import annotations

from enum import StrEnum


class Provenance(StrEnum):
    """How a figure is known. Figures of different provenance never share a column."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    PRESET = "preset"
    ASSUMED = "assumed"
    MODELLED = "modelled"
