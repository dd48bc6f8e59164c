"""What crosses the link: the wire format, and the codecs that turn features or a frame into bytes and back.

May import: ``errors``, ``operating_point``.
"""

from adaedge.payload.codecs import BOTTLENECK, Codec, Features, get_codec, is_progressive, is_stateful
from adaedge.payload.jpeg import Jpeg
from adaedge.payload.message import MAX_BYTES, Kind, Message, StreamPosition, TensorHeader
from adaedge.payload.messages import pack, pack_answer, unpack, unpack_answer
from adaedge.payload.reference import Reference

__all__ = [
    "BOTTLENECK",
    "MAX_BYTES",
    "Codec",
    "Features",
    "Jpeg",
    "Kind",
    "Message",
    "Reference",
    "StreamPosition",
    "TensorHeader",
    "get_codec",
    "is_progressive",
    "is_stateful",
    "pack",
    "pack_answer",
    "unpack",
    "unpack_answer",
]
