"""Tensors ⇄ payload: a codec and the wire format put together. What arrives is checked before it is believed.

May import: ``errors``, ``operating_point``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from adaedge.errors import CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import wire
from adaedge.payload.codecs import Features, get_codec
from adaedge.payload.wire import MAX_BYTES, Kind, Message, Segment

Array = npt.NDArray[Any]


def pack(
    point: OperatingPoint,
    tensors: Sequence[Array],
    axes: Sequence[int | None],
    *,
    bundle: str,
    sequence: int = 0,
    deadline_s: float = 0.0,
) -> bytes:
    """The payload of one frame.

    Args:
        point: what was run; its codec writes the tensors.
        tensors: what crosses at ``point.split``.
        axes: for each tensor its channel dimension, or ``None``.
        bundle: SHA-256 of the bundle, in hexadecimal.
        sequence: number of the frame.
        deadline_s: seconds that the edge server has left.

    Raises:
        CodecError: if there is no such codec, or it cannot carry these tensors.

    Example:
        >>> import numpy as np
        >>> data = pack(OperatingPoint("blocks.3", codec="u8"), [np.zeros((1, 3), np.float32)], [1], bundle="ab" * 32)
        >>> message, (feature,) = unpack(data, bundle="ab" * 32)
        >>> len(data), message.point.codec, feature.shape
        (126, 'u8', (1, 3))
    """
    headers, segments = get_codec(point.codec).encode(tensors, axes)
    return wire.encode(Message(Kind.FEATURES, bundle, sequence, point, headers, segments, deadline_s=deadline_s))


def unpack(
    data: Segment, *, bundle: str | None = None, max_bytes: int = MAX_BYTES
) -> tuple[Message, tuple[Array, ...]]:
    """The message and the tensors in a payload.

    Args:
        data: what was received.
        bundle: SHA-256 of the bundle that it must belong to.
        max_bytes: the most that is accepted, as received and once decoded.

    Raises:
        PayloadError: if the bytes are truncated, foreign, oversized, corrupted or contradict themselves.
    """
    message = _received(data, Kind.FEATURES, bundle, max_bytes)
    try:
        codec = get_codec(message.point.codec)
    except CodecError as error:
        raise PayloadError(f"a payload that this adaedge cannot read: {error}") from error
    return message, codec.decode(message.tensors, message.segments, max_bytes)


def pack_answer(point: OperatingPoint, tensors: Sequence[Array], *, bundle: str, sequence: int, edge_s: float) -> bytes:
    """The payload of an answer: the model's outputs, raw whatever the point's codec is.

    Args:
        point: what was run.
        tensors: the model's outputs.
        bundle: SHA-256 of the bundle, in hexadecimal.
        sequence: number of the frame that is answered.
        edge_s: seconds that the edge server computed.

    Raises:
        CodecError: if an output's type cannot cross the link.
    """
    headers, segments = Features().encode(tensors, [None] * len(tensors))
    return wire.encode(Message(Kind.ANSWER, bundle, sequence, point, headers, segments, edge_s=edge_s))


def unpack_answer(
    data: Segment, *, bundle: str | None = None, max_bytes: int = MAX_BYTES
) -> tuple[Message, tuple[Array, ...]]:
    """The message and the outputs in an answer.

    Raises:
        PayloadError: if the bytes are truncated, foreign, oversized, corrupted or contradict themselves.
    """
    message = _received(data, Kind.ANSWER, bundle, max_bytes)
    return message, Features().decode(message.tensors, message.segments, max_bytes)


def _received(data: Segment, kind: Kind, bundle: str | None, max_bytes: int) -> Message:
    message = wire.decode(data, bundle=bundle, max_bytes=max_bytes)
    if message.kind is not kind:
        raise PayloadError(
            f"foreign payload: {message.kind.name.lower()} came where {kind.name.lower()} belongs."
            " Are the two ends of the link swapped?"
        )
    return message
