"""The nouns that every part speaks: OperatingPoint, Cost, Profile, Decision.

May import: ``errors`` only.
"""

from adaedge.operating_point.cost import Cost
from adaedge.operating_point.decision import Decision
from adaedge.operating_point.kept import KEPT, KeptCurve, KeptKnot, LastAnswer
from adaedge.operating_point.level import FP32, FULL, Level
from adaedge.operating_point.point import INPUT, OUTPUT, OperatingPoint
from adaedge.operating_point.profile import NOT_FASTER, REFRESH, Profile, not_faster

__all__ = [
    "FP32",
    "FULL",
    "INPUT",
    "KEPT",
    "NOT_FASTER",
    "OUTPUT",
    "REFRESH",
    "Cost",
    "Decision",
    "KeptCurve",
    "KeptKnot",
    "LastAnswer",
    "Level",
    "OperatingPoint",
    "Profile",
    "not_faster",
]
