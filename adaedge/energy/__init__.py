"""What a frame costs the terminal: compute, radio (promotion, transfer, tail), waiting; cited presets; calibration.

May import: ``errors``, ``operating_point``.
"""

from adaedge.energy.split import EnergySplit, Provenance

__all__ = ["EnergySplit", "Provenance"]
