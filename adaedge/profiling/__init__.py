"""What a bundle costs on this machine: synchronised, warmed-up, interleaved timing of its parts.

May import: ``operating_point``, ``payload``, ``engine``, ``clip``, ``bundle``, ``stream``.
"""

from adaedge.profiling.timing import Progress, machine_name, processor, profile

__all__ = ["Progress", "machine_name", "processor", "profile"]
