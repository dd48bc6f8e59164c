"""What crosses the link: the wire format, and the codecs that turn features or a frame into bytes and back.

May import: ``late``, ``errors``, ``operating_point``.
"""

from typing import TYPE_CHECKING

from adaedge.late import late_names
from adaedge.payload.codecs import (
    BOTTLENECK,
    DELTA,
    Codec,
    Features,
    codec_family,
    get_codec,
    is_progressive,
    is_stateful,
    uses_bottleneck,
)
from adaedge.payload.message import MAX_BYTES, Message, Request, StreamPosition, TensorHeader
from adaedge.payload.messages import pack, unpack
from adaedge.payload.own import OwnCodec
from adaedge.payload.reference import Reference

if TYPE_CHECKING:
    from adaedge.payload.jpeg import Jpeg
else:
    __getattr__, __dir__ = late_names(__name__, {"Jpeg": "jpeg"})

__all__ = [
    "BOTTLENECK",
    "DELTA",
    "MAX_BYTES",
    "Codec",
    "Features",
    "Jpeg",
    "Message",
    "OwnCodec",
    "Reference",
    "Request",
    "StreamPosition",
    "TensorHeader",
    "codec_family",
    "get_codec",
    "is_progressive",
    "is_stateful",
    "pack",
    "unpack",
    "uses_bottleneck",
]
