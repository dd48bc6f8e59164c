"""Measures the costs of a bundle on this machine: synchronised, warmed-up, interleaved timing of its parts.

May import: ``operating_point``, ``payload``, ``engine``, ``clip``, ``bundle``, ``stream``.
"""

from adaedge.profiling.engine_race import EngineRace, race_engines
from adaedge.profiling.timing import Progress, machine_name, processor, profile

__all__ = ["EngineRace", "Progress", "machine_name", "processor", "profile", "race_engines"]
