"""What a terminal remembers of the frames of one camera.

May import: ``errors``, ``operating_point``, ``payload``, ``metrics``, ``engine``, ``bundle``.
"""

from adaedge.stream.audit import Audit
from adaedge.stream.cached_head import CachedHead
from adaedge.stream.cached_tail import CachedTail
from adaedge.stream.change import BlockChange, ChangeDetector
from adaedge.stream.detectors import MovedBlocks
from adaedge.stream.filtering import Filtered, calibrate_tolerance, largest_tolerance, replay
from adaedge.stream.held import HeldPayload
from adaedge.stream.keeper import Keeper, Keeping
from adaedge.stream.playback import Playback
from adaedge.stream.runners import Runners
from adaedge.stream.stream import Stream
from adaedge.stream.window import Window

__all__ = [
    "Audit",
    "BlockChange",
    "CachedHead",
    "CachedTail",
    "ChangeDetector",
    "Filtered",
    "HeldPayload",
    "Keeper",
    "Keeping",
    "MovedBlocks",
    "Playback",
    "Runners",
    "Stream",
    "Window",
    "calibrate_tolerance",
    "largest_tolerance",
    "replay",
]
