"""The radio channel: rate traces (read, synthesised), path loss and fading, rate estimators, allocation of power.

May import: ``late``, ``errors``.
"""

from typing import TYPE_CHECKING

from adaedge.channel.estimators import HarmonicMean, LastUpload, RateEstimate, RateEstimator, Upload
from adaedge.late import late_names

if TYPE_CHECKING:
    from adaedge.channel.allocation import allocate
    from adaedge.channel.reading import read_csv, read_mahimahi, read_rates, read_trace
    from adaedge.channel.synthesis import MovingTerminal, RadioModel, UrbanMicrocell, synthesize
    from adaedge.channel.trace import Trace
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "MovingTerminal": "synthesis",
            "RadioModel": "synthesis",
            "Trace": "trace",
            "UrbanMicrocell": "synthesis",
            "allocate": "allocation",
            "read_csv": "reading",
            "read_mahimahi": "reading",
            "read_rates": "reading",
            "read_trace": "reading",
            "synthesize": "synthesis",
        },
    )

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
