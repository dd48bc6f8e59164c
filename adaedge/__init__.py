"""adaedge runs a PyTorch model on a battery-powered terminal together with an edge server.

Names are loaded when they are first used (PEP 562), so that ``from adaedge import Bundle, Scheduler, Terminal`` works
where torch is not installed. A name whose extra is missing exists, but raises an error that names the extra.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from adaedge._version import __version__
from adaedge.late import late_names as _late_names

if TYPE_CHECKING:
    from adaedge.bottleneck import AnalogBottleneck as AnalogBottleneck
    from adaedge.bottleneck import Bottleneck as Bottleneck
    from adaedge.builder import Space as Space
    from adaedge.builder import build as build
    from adaedge.bundle import Bundle as Bundle
    from adaedge.cascade import Cascade as Cascade
    from adaedge.clip import Clip as Clip
    from adaedge.distillation import FeatureMSE as FeatureMSE
    from adaedge.distillation import LightHead as LightHead
    from adaedge.distillation import SoftTargets as SoftTargets
    from adaedge.distillation import StreamTeacher as StreamTeacher
    from adaedge.distillation import distill as distill
    from adaedge.distillation import teach as teach
    from adaedge.graph import Splittable as Splittable
    from adaedge.incremental import Incremental as Incremental
    from adaedge.levels import Elastic as Elastic
    from adaedge.operating_point import Cost as Cost
    from adaedge.operating_point import Decision as Decision
    from adaedge.operating_point import OperatingPoint as OperatingPoint
    from adaedge.operating_point import Profile as Profile
    from adaedge.profiling import profile as profile
    from adaedge.runtime import EdgeServer as EdgeServer
    from adaedge.runtime import GrpcLink as GrpcLink
    from adaedge.runtime import ReplayLink as ReplayLink
    from adaedge.runtime import Terminal as Terminal
    from adaedge.runtime import pipeline as pipeline
    from adaedge.scheduling import Scheduler as Scheduler
    from adaedge.taught import TaughtNetwork as TaughtNetwork

_HOMES = {
    "AnalogBottleneck": "bottleneck",
    "Bottleneck": "bottleneck",
    "Bundle": "bundle",
    "Cascade": "cascade",
    "Clip": "clip",
    "Cost": "operating_point",
    "Decision": "operating_point",
    "EdgeServer": "runtime",
    "Elastic": "levels",
    "FeatureMSE": "distillation",
    "GrpcLink": "runtime",
    "Incremental": "incremental",
    "LightHead": "distillation",
    "OperatingPoint": "operating_point",
    "Profile": "operating_point",
    "ReplayLink": "runtime",
    "Scheduler": "scheduling",
    "SoftTargets": "distillation",
    "Space": "builder",
    "Splittable": "graph",
    "StreamTeacher": "distillation",
    "TaughtNetwork": "taught",
    "Terminal": "runtime",
    "build": "builder",
    "distill": "distillation",
    "pipeline": "runtime",
    "profile": "profiling",
    "teach": "distillation",
}

_NEED_TORCH = frozenset({"bottleneck", "builder", "distillation", "graph", "incremental", "levels"})

__all__ = ["__version__", *_HOMES]

if not TYPE_CHECKING:
    __getattr__, _ = _late_names(__name__, _HOMES)


def __dir__() -> list[str]:
    # What walks over a module's names (help, completion, inspect.getmembers) must find each that it is shown.
    torch = importlib.util.find_spec("torch")
    return sorted(name for name in __all__ if torch or _HOMES.get(name) not in _NEED_TORCH)
