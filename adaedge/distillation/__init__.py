"""Training one network from another: students, light heads, widths, bottlenecks; one loop on accelerate.

May import: ``errors``, ``payload``, ``bundle``, ``taught``, ``graph``, ``levels``, ``bottleneck``.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.distillation.box_losses import BoxTargets
from adaedge.distillation.feature_losses import AttentionTransfer, FeatureMSE, Relational
from adaedge.distillation.level_repair import Crops, evenly_spaced, repair
from adaedge.distillation.light_head import LightHead, StrongViews
from adaedge.distillation.losses import DecoupledTargets, SoftTargetMaps, SoftTargets
from adaedge.distillation.noisy_channel import NoisyChannelObjective
from adaedge.distillation.objectives import CrossEntropy, Objective, Sandwich
from adaedge.distillation.on_stream import Pace, TaughtFrame, TaughtStream, teach
from adaedge.distillation.refinement import refine
from adaedge.distillation.schedules import Schedule, WarmCosine
from adaedge.distillation.stream_teacher import Lessons, StreamTeacher
from adaedge.distillation.switchable_affine import SwitchableAffine
from adaedge.distillation.teacher_process import TeacherProcess
from adaedge.distillation.teacher_student import distill
from adaedge.distillation.terms import Weighted
from adaedge.distillation.training import Plan, train
from adaedge.distillation.weight_average import WeightAverage

__all__ = [
    "AttentionTransfer",
    "BoxTargets",
    "Crops",
    "CrossEntropy",
    "DecoupledTargets",
    "FeatureMSE",
    "Lessons",
    "LightHead",
    "NoisyChannelObjective",
    "Objective",
    "Pace",
    "Plan",
    "Relational",
    "Sandwich",
    "Schedule",
    "SoftTargetMaps",
    "SoftTargets",
    "StreamTeacher",
    "StrongViews",
    "SwitchableAffine",
    "TaughtFrame",
    "TaughtStream",
    "TeacherProcess",
    "WarmCosine",
    "WeightAverage",
    "Weighted",
    "distill",
    "evenly_spaced",
    "refine",
    "repair",
    "teach",
    "train",
]
