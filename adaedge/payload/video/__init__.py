"""Frames of a camera ⇄ the packets of a video codec, one packet a frame, at split point ``input`` only.

May import: ``errors``. Shares the header with ``payload.wire``.

    h264@CRF, hevc@CRF, av1@CRF      colour at half the resolution (4:2:0)
    h264-444@CRF, hevc-444@CRF       colour at full resolution

The reference is the live encoder on the terminal and the live decoder on the edge server. No frame waits for a later
one: a call of ``encode`` returns the packet of its own frame, a call of ``decode`` the frame of its own packet.
"""

from adaedge.payload.video.codec import Video, video_codec
from adaedge.payload.video.libraries import AV1, FAMILIES, H264, HEVC, Availability, Family, Library, available
from adaedge.payload.video.reference import VideoReference

__all__ = [
    "AV1",
    "FAMILIES",
    "H264",
    "HEVC",
    "Availability",
    "Family",
    "Library",
    "Video",
    "VideoReference",
    "available",
    "video_codec",
]
