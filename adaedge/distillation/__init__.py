"""Training one network from another: losses, the sandwich of all widths, one loop on accelerate.

May import: ``errors``, ``levels``.
"""

from adaedge.distillation.lessons import Labels, Lesson, Sandwich
from adaedge.distillation.losses import SoftTargets
from adaedge.distillation.repairing import Crops, repair, spaced
from adaedge.distillation.schedules import Schedule, WarmCosine
from adaedge.distillation.training import Plan, train

__all__ = [
    "Crops",
    "Labels",
    "Lesson",
    "Plan",
    "Sandwich",
    "Schedule",
    "SoftTargets",
    "WarmCosine",
    "repair",
    "spaced",
    "train",
]
