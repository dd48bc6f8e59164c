"""Features ⇄ payload: a codec and the wire format put together. Received bytes are checked before they are used.

May import: ``errors``, ``operating_point``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError, StaleReferenceError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import wire
from adaedge.payload.codecs import Codec, get_codec, is_progressive
from adaedge.payload.message import MAX_BYTES, Message, Segment
from adaedge.payload.reference import Reference


def by_name(point: OperatingPoint) -> Codec:
    """The codec of a point that needs nothing but its name.

    Raises:
        CodecError: if there is none.
    """
    return get_codec(point.codec)


def pack(
    point: OperatingPoint,
    tensors: Sequence[Array],
    axes: Sequence[int | None],
    *,
    bundle: str,
    sequence: int = 0,
    deadline_s: float = 0.0,
    codec: Codec | None = None,
) -> bytes:
    """The payload of one frame that stands by itself.

    Args:
        point: what was run; its codec writes the tensors.
        tensors: what crosses at ``point.split``.
        axes: for each tensor its channel dimension, or ``None``.
        bundle: SHA-256 of the bundle, in hexadecimal.
        sequence: number of the frame.
        deadline_s: seconds that the edge server has left.
        codec: the point's codec, where its name is not enough to find it.

    Raises:
        CodecError: if there is no such codec, or it cannot carry these tensors.

    Example:
        >>> import numpy as np
        >>> data = pack(OperatingPoint("blocks.3", codec="u8"), [np.zeros((1, 3), np.float32)], [1], bundle="ab" * 32)
        >>> message, (feature,) = unpack(data, bundle="ab" * 32)
        >>> len(data), message.point.codec, feature.shape
        (72, 'u8', (1, 3))
    """
    (headers, segments), _ = (codec or by_name(point)).encode(tensors, axes)
    return wire.encode(Message(bundle, sequence, point, headers, segments, deadline_s=deadline_s))


def unpack(
    data: Segment,
    *,
    bundle: str | None = None,
    max_bytes: int = MAX_BYTES,
    codec_of: Callable[[OperatingPoint], Codec] = by_name,
) -> tuple[Message, tuple[Array, ...]]:
    """The message and the tensors in a payload that stands by itself.

    Of a progressive codec's payload that lost its end, the tensors at a lower rate.

    Args:
        data: what was received.
        bundle: SHA-256 of the bundle that it must belong to.
        max_bytes: the most that is accepted, as received and once decoded.
        codec_of: finds a point's codec, where its name is not enough.

    Raises:
        PayloadError: if the bytes are truncated, foreign, oversized, corrupted or contradict themselves.
        StaleReferenceError: if it builds upon another payload.
    """
    message = read_message(data, bundle=bundle, max_bytes=max_bytes)
    try:
        codec = codec_of(message.point)
    except CodecError as error:
        raise PayloadError(f"a payload that this adaedge cannot read: {error}") from error
    tensors, _ = read_tensors(message, codec, max_bytes=max_bytes)
    return message, tensors


def read_message(data: Segment, *, bundle: str | None = None, max_bytes: int = MAX_BYTES) -> Message:
    """The message in a payload, whose tensors are still bytes; arguments and errors as in `unpack`."""
    return wire.decode(data, bundle=bundle, max_bytes=max_bytes, progressive=is_progressive)


def read_tensors(
    message: Message,
    codec: Codec,
    reference: Reference | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> tuple[tuple[Array, ...], Reference | None]:
    """The tensors in a message, and what this end holds from now on: nothing, where a part of the payload was lost.

    Args:
        message: what came.
        codec: the one of its point.
        reference: what this end holds of the payload that the message builds upon; ``None`` for a refresh.
        max_bytes: the most that the tensors may take.

    Raises:
        PayloadError: if the bytes contradict themselves.
        StaleReferenceError: if the message builds upon a payload that is not held.
    """
    if message.base and (reference is None or not codec.accepts(reference)):
        raise StaleReferenceError(
            f"frame {message.sequence} of stream {message.stream:016x} builds upon frame {message.base}, which is not"
            " held here. Send a refresh."
        )
    held = reference if message.base else None
    tensors, kept = codec.decode(message.tensors, message.segments, max_bytes, held)
    return tensors, None if message.lost_segments else kept
