"""Training one network from another: losses, the sandwich of all widths, refinement, one loop on accelerate.

May import: ``errors``, ``payload``, ``levels``, ``bottleneck``.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.distillation.lessons import Labels, Lesson, Sandwich
from adaedge.distillation.losses import SoftTargets
from adaedge.distillation.own_affine import OwnAffine
from adaedge.distillation.refining import refine
from adaedge.distillation.repairing import Crops, repair, spaced
from adaedge.distillation.schedules import Schedule, WarmCosine
from adaedge.distillation.training import Plan, train
from adaedge.distillation.under_noise import UnderNoise

__all__ = [
    "Crops",
    "Labels",
    "Lesson",
    "OwnAffine",
    "Plan",
    "Sandwich",
    "Schedule",
    "SoftTargets",
    "UnderNoise",
    "WarmCosine",
    "refine",
    "repair",
    "spaced",
    "train",
]
