"""What an edge server should decode and answer: for ``benchmarks.stream_faults``, pictures by PyAV alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, final

import av
import numpy as np
from av.video.reformatter import Interpolation

from adaedge.bundle import Bundle
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Message, Reference
from adaedge.runtime import GrpcLink
from adaedge.stream import Stream
from benchmarks.stream_processes import checksum

_DECODERS = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d"}
_WITHOUT_DELAY = {"h264": {"flags": "low_delay"}, "hevc": {"flags": "low_delay"}, "libdav1d": {"max_frame_delay": "1"}}
_PREFIX_BYTES = 8  # number and checksum, before the packet
_LOCAL = OperatingPoint("output")
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND
_EXACT |= Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
_REMEMBERED = 64  # payloads; what is delivered late was sent a few frames before


@final
class Pictures:
    """Decodes what the terminal's encoder wrote, each refresh and what follows with a decoder of PyAV's of its own.

    A decoder that has been given the packets since the refresh holds what the encoder believes: the standards define
    its samples to the bit.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._decoders: dict[tuple[int, int], Any] = {}
        self._tensors: dict[tuple[int, int], tuple[np.ndarray, ...]] = {}
        self._latents: dict[tuple[int, int], Reference] = {}
        self._others: dict[int, int] = {}

    def sent(self, payload: bytes) -> int:
        """Take note of a payload that the terminal sent, whatever became of it; what it builds upon."""
        message = self._bundle.read(payload)
        place = message.stream, message.sequence
        if message.point.codec.partition("@")[0] in _DECODERS:
            self._tensors[place] = (self._picture(message),)
        elif message.point.codec.startswith("delta@"):
            self._tensors[place] = self._carried(message)
        else:
            assert not message.base, "a codec without a state builds upon nothing"
            self._tensors[place] = self._bundle.decode(payload)[1]
        while len(self._tensors) > _REMEMBERED:
            del self._tensors[next(iter(self._tensors))]
        return message.base

    def _carried(self, message: Message) -> tuple[np.ndarray, ...]:
        before = self._latents.pop((message.stream, message.base)) if message.base else None  # a KeyError, as below
        _, carried, latents = self._bundle.receive(message, before)
        assert latents is not None, "a codec of deltas leaves what the next payload builds upon"
        self._latents = {(message.stream, message.sequence): latents}
        return carried

    def _picture(self, message: Message) -> np.ndarray:
        name = _DECODERS[message.point.codec.partition("@")[0]]
        if message.base:
            context = self._decoders.pop((message.stream, message.base))  # a KeyError: it builds upon what was not sent
        else:
            context = av.CodecContext.create(name, "r")
            context.thread_count, context.options = 1, _WITHOUT_DELAY[name]
        self._decoders = {(message.stream, message.sequence): context}  # nothing builds upon what came before
        packet = av.Packet(bytes(message.segments[0][_PREFIX_BYTES:]))
        (frame,) = context.decode(packet)
        _, height, width, _ = message.tensors[0].shape
        return frame.reformat(format="rgb24", interpolation=_EXACT).to_ndarray()[None, :height, :width].copy()

    def right(self, stream: int, number: int, crc: int) -> bool:
        """Whether what the edge server decoded is what it should have; of other streams, what it was the first time."""
        tensors = self._tensors.get((stream, number))
        return self._others.setdefault(0, crc) == crc if tensors is None else checksum(tensors) == crc

    def expected(self, payload: bytes) -> np.ndarray:
        """The network's answer to what the edge server should have decoded of a payload."""
        message = self._bundle.read(payload)
        return self._bundle.route(message.point).edge.run(self._tensors[message.stream, message.sequence])[0]

    def locally(self, frame: Any) -> np.ndarray:
        """The network's answer to a frame."""
        return self._bundle.run(_LOCAL, self._bundle.inputs_of(frame))[0]


def evicting(bundle: Bundle, point: OperatingPoint, frame: Any, streams: int) -> Callable[[GrpcLink], None]:
    """What opens so many other streams, each with the same picture, and leaves them."""
    pixels = bundle.inputs_of(frame)

    def evict(link: GrpcLink) -> None:
        for stream in itertools.islice(iter(lambda: Stream(bundle), None), streams):
            position, _ = stream.next(point, bundle.codec(point), 1.0)
            link.exchange(bundle.encode_next(point, pixels, position)[0], 5.0)

    return evict
