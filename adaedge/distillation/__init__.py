"""Training one network from another: losses, the sandwich of all widths, refinement, one loop on accelerate.

May import: ``errors``, ``payload``, ``levels``, ``bottleneck``.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.distillation.losses import SoftTargets
from adaedge.distillation.noisy_channel import NoisyChannelObjective
from adaedge.distillation.objectives import CrossEntropy, Objective, Sandwich
from adaedge.distillation.refining import refine
from adaedge.distillation.repairing import Crops, evenly_spaced, repair
from adaedge.distillation.schedules import Schedule, WarmCosine
from adaedge.distillation.switchable_affine import SwitchableAffine
from adaedge.distillation.training import Plan, train

__all__ = [
    "Crops",
    "CrossEntropy",
    "NoisyChannelObjective",
    "Objective",
    "Plan",
    "Sandwich",
    "Schedule",
    "SoftTargets",
    "SwitchableAffine",
    "WarmCosine",
    "evenly_spaced",
    "refine",
    "repair",
    "train",
]
