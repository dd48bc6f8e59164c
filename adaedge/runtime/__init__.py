"""The running parts: link, terminal, edge server, session.

May import: ``late``, ``errors``, ``operating_point``, ``energy``, ``channel``, ``payload``, ``engine``, ``bundle``,
``taught``, ``stream``, ``profiling``, ``scheduling``. Never torch.
"""

from typing import TYPE_CHECKING

from adaedge.late import late_names
from adaedge.runtime.clock import Clock, ManualClock, MonotonicClock, SkippingClock
from adaedge.runtime.grpc_link import GrpcLink
from adaedge.runtime.link import Link, Reply
from adaedge.runtime.record import FrameRecord, Measurement, read_records, write_records
from adaedge.runtime.result import Result
from adaedge.runtime.terminal import Terminal

if TYPE_CHECKING:
    from adaedge.runtime.access_tokens import Tokens
    from adaedge.runtime.credentials import Credentials, default_folder
    from adaedge.runtime.edge_session import EdgeSession
    from adaedge.runtime.emulated_links import NoLink, ReplayLink, ShapedLink
    from adaedge.runtime.handover import HandoverLink
    from adaedge.runtime.prometheus import Prometheus
    from adaedge.runtime.pupil import Pupil
    from adaedge.runtime.server import EdgeServer, serve_forever
    from adaedge.runtime.session import run
    from adaedge.runtime.signal_watch import SignalWatch
    from adaedge.runtime.sources import frames
    from adaedge.runtime.tasks import pipeline
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "Credentials": "credentials",
            "EdgeServer": "server",
            "EdgeSession": "edge_session",
            "HandoverLink": "handover",
            "NoLink": "emulated_links",
            "Prometheus": "prometheus",
            "Pupil": "pupil",
            "ReplayLink": "emulated_links",
            "ShapedLink": "emulated_links",
            "SignalWatch": "signal_watch",
            "Tokens": "access_tokens",
            "default_folder": "credentials",
            "frames": "sources",
            "pipeline": "tasks",
            "run": "session",
            "serve_forever": "server",
        },
    )

__all__ = [
    "Clock",
    "Credentials",
    "EdgeServer",
    "EdgeSession",
    "FrameRecord",
    "GrpcLink",
    "HandoverLink",
    "Link",
    "ManualClock",
    "Measurement",
    "MonotonicClock",
    "NoLink",
    "Prometheus",
    "Pupil",
    "ReplayLink",
    "Reply",
    "Result",
    "ShapedLink",
    "SignalWatch",
    "SkippingClock",
    "Terminal",
    "Tokens",
    "default_folder",
    "frames",
    "pipeline",
    "read_records",
    "run",
    "serve_forever",
    "write_records",
]
