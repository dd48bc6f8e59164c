"""The radio channel: rate traces (read, synthesised), path loss and fading, rate estimators, allocation of power.

May import: ``late``, ``errors``.
"""

from typing import TYPE_CHECKING

from adaedge.channel.estimators import HarmonicMean, LastUpload, RateEstimate, RateEstimator, Upload
from adaedge.channel.prior import LinkPrior
from adaedge.channel.spread import RateSpread
from adaedge.channel.transitions import Transitions
from adaedge.late import late_names

if TYPE_CHECKING:
    from adaedge.channel.allocation import allocate
    from adaedge.channel.signal import LinkSignal, ask_modem_manager, ask_signal, parse_signal, read_signal
    from adaedge.channel.synthesis import MovingTerminal, RadioModel, UrbanMicrocell, synthesize
    from adaedge.channel.trace import Trace
    from adaedge.channel.trace_files import read_csv, read_mahimahi, read_rates, read_trace
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "LinkSignal": "signal",
            "MovingTerminal": "synthesis",
            "RadioModel": "synthesis",
            "Trace": "trace",
            "UrbanMicrocell": "synthesis",
            "allocate": "allocation",
            "ask_modem_manager": "signal",
            "ask_signal": "signal",
            "parse_signal": "signal",
            "read_csv": "trace_files",
            "read_mahimahi": "trace_files",
            "read_rates": "trace_files",
            "read_signal": "signal",
            "read_trace": "trace_files",
            "synthesize": "synthesis",
        },
    )

__all__ = [
    "HarmonicMean",
    "LastUpload",
    "LinkPrior",
    "LinkSignal",
    "MovingTerminal",
    "RadioModel",
    "RateEstimate",
    "RateEstimator",
    "RateSpread",
    "Trace",
    "Transitions",
    "Upload",
    "UrbanMicrocell",
    "allocate",
    "ask_modem_manager",
    "ask_signal",
    "parse_signal",
    "read_csv",
    "read_mahimahi",
    "read_rates",
    "read_signal",
    "read_trace",
    "synthesize",
]
