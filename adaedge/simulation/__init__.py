"""Replay a rate trace through a scheduler, without a model and without waiting; find the best choice in hindsight.

May import: ``operating_point``, ``energy``, ``channel``, ``payload``, ``clip``, ``bundle``, ``stream``, ``scheduling``,
``runtime.record``. Scheduler, rate estimator, probe plan, time-out, energy meter and the rules of what both ends hold
are those of the runtime. What is modelled: computing takes its median time, the link takes what the trace says, a
payload what its frame changed, waking the radio what it takes, and nothing else happens. A terminal works on one frame
at a time and takes the next when it is free.
"""

from adaedge.simulation.changes import Changes, ClipChanges, StepChanges
from adaedge.simulation.oracle import MISSES_ALLOWED, best_static, clairvoyant, static_runs
from adaedge.simulation.replay import Outcome, simulate
from adaedge.simulation.scenario import Scenario
from adaedge.simulation.signal import ModelledSignal

__all__ = [
    "MISSES_ALLOWED",
    "Changes",
    "ClipChanges",
    "ModelledSignal",
    "Outcome",
    "Scenario",
    "StepChanges",
    "best_static",
    "clairvoyant",
    "simulate",
    "static_runs",
]
