"""The radio channel: rate traces (read, synthesised), path loss and fading, rate estimators.

May import: ``errors``.
"""

from adaedge.channel.estimate import RateEstimate, Upload

__all__ = ["RateEstimate", "Upload"]
