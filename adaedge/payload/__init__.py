"""What crosses the link: the wire format, and the codecs that turn features or a frame into bytes and back.

May import: ``errors``, ``operating_point``.
"""

from adaedge.payload.codecs import BOTTLENECK, Codec, Features, get_codec, is_progressive
from adaedge.payload.jpeg import Jpeg
from adaedge.payload.message import MAX_BYTES, Message, Request, StreamPosition, TensorHeader
from adaedge.payload.messages import pack, unpack
from adaedge.payload.reference import Reference

__all__ = [
    "BOTTLENECK",
    "MAX_BYTES",
    "Codec",
    "Features",
    "Jpeg",
    "Message",
    "Reference",
    "Request",
    "StreamPosition",
    "TensorHeader",
    "get_codec",
    "is_progressive",
    "pack",
    "unpack",
]
