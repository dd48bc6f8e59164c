"""Tensors ⇄ payload: a codec and the wire format put together. What arrives is checked before it is believed.

May import: ``errors``, ``operating_point``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from adaedge.errors import CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import wire
from adaedge.payload.codecs import Codec, Features, get_codec, is_progressive
from adaedge.payload.wire import MAX_BYTES, Kind, Message, Segment

Array = npt.NDArray[Any]


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
    """The payload of one frame.

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
        (126, 'u8', (1, 3))
    """
    headers, segments = (codec or by_name(point)).encode(tensors, axes)
    return wire.encode(Message(Kind.FEATURES, bundle, sequence, point, headers, segments, deadline_s=deadline_s))


def unpack(
    data: Segment,
    *,
    bundle: str | None = None,
    max_bytes: int = MAX_BYTES,
    codec_of: Callable[[OperatingPoint], Codec] = by_name,
) -> tuple[Message, tuple[Array, ...]]:
    """The message and the tensors in a payload; of a progressive codec's that lost its end, at a lower rate.

    Args:
        data: what was received.
        bundle: SHA-256 of the bundle that it must belong to.
        max_bytes: the most that is accepted, as received and once decoded.
        codec_of: finds a point's codec, where its name is not enough.

    Raises:
        PayloadError: if the bytes are truncated, foreign, oversized, corrupted or contradict themselves.
    """
    message = wire.decode(data, bundle=bundle, max_bytes=max_bytes, progressive=is_progressive)
    _check_kind(message, Kind.FEATURES)
    try:
        codec = codec_of(message.point)
    except CodecError as error:
        raise PayloadError(f"a payload that this adaedge cannot read: {error}") from error
    return message, codec.decode(message.tensors, message.segments, max_bytes)


def pack_answer(
    point: OperatingPoint,
    tensors: Sequence[Array],
    *,
    bundle: str,
    sequence: int,
    edge_s: float,
    lost_segments: int = 0,
) -> bytes:
    """The payload of an answer: the model's outputs, raw whatever the point's codec is.

    Args:
        point: what was run.
        tensors: the model's outputs.
        bundle: SHA-256 of the bundle, in hexadecimal.
        sequence: number of the frame that is answered.
        edge_s: seconds that the edge server computed.
        lost_segments: how many of the payload's last segments it could not use.

    Raises:
        CodecError: if an output's type cannot cross the link.
    """
    headers, segments = Features().encode(tensors, [None] * len(tensors))
    answer = Message(Kind.ANSWER, bundle, sequence, point, headers, segments, 0.0, edge_s, lost_segments)
    return wire.encode(answer)


def unpack_answer(
    data: Segment, *, bundle: str | None = None, max_bytes: int = MAX_BYTES
) -> tuple[Message, tuple[Array, ...]]:
    """The message and the outputs in an answer.

    Raises:
        PayloadError: if the bytes are truncated, foreign, oversized, corrupted or contradict themselves.
    """
    message = wire.decode(data, bundle=bundle, max_bytes=max_bytes)  # an answer is raw, whatever its point's codec is
    _check_kind(message, Kind.ANSWER)
    return message, Features().decode(message.tensors, message.segments, max_bytes)


def _check_kind(message: Message, kind: Kind) -> None:
    if message.kind is not kind:
        raise PayloadError(
            f"foreign payload: {message.kind.name.lower()} came where {kind.name.lower()} belongs."
            " Are the two ends of the link swapped?"
        )
