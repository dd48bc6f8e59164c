"""The radio channel: rate traces (read, synthesised), path loss and fading, rate estimators, allocation of power.

May import: ``errors``.
"""

from adaedge.channel.allocation import allocate
from adaedge.channel.estimate import RateEstimate, Upload
from adaedge.channel.estimators import HarmonicMean, LastUpload, RateEstimator
from adaedge.channel.reading import read_csv, read_mahimahi, read_rates, read_trace
from adaedge.channel.synthesis import MovingTerminal, RadioModel, UrbanMicrocell, synthesize
from adaedge.channel.trace import Trace

__all__ = [
    "HarmonicMean",
    "LastUpload",
    "MovingTerminal",
    "RadioModel",
    "RateEstimate",
    "RateEstimator",
    "Trace",
    "Upload",
    "UrbanMicrocell",
    "allocate",
    "read_csv",
    "read_mahimahi",
    "read_rates",
    "read_trace",
    "synthesize",
]
