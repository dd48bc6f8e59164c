"""What a terminal remembers of the frames of one camera.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``, ``bundle``.
"""

from adaedge.stream.change import BlockChange, ChangeDetector
from adaedge.stream.held import HeldPayload
from adaedge.stream.playback import Playback
from adaedge.stream.standing import Filtered, StandingAnswer, calibrate_tolerance, largest_tolerance, replay
from adaedge.stream.stream import Stream
from adaedge.stream.window import Window

__all__ = [
    "BlockChange",
    "ChangeDetector",
    "Filtered",
    "HeldPayload",
    "Playback",
    "StandingAnswer",
    "Stream",
    "Window",
    "calibrate_tolerance",
    "largest_tolerance",
    "replay",
]
