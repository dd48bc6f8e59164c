"""What an edge server's process holds of streams that are opened and left: part of ``benchmarks.stream_faults``.

One process for each codec, with the usual limits and a network that costs next to nothing. A first stream sends a few
frames, then so many others send as many as fill their decoders (AV1's has 92 % of its memory by then), and are left.
Then the first sends its next.
"""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adaedge.bundle import Bundle
from adaedge.energy import ComputePower, EnergyModel, RadioPower
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload import StreamPosition, wire
from adaedge.payload.message import Message
from adaedge.runtime import GrpcLink, Terminal
from adaedge.runtime.edge_session import MAX_BYTES, MAX_STREAMS
from adaedge.scheduling import Fixed, Scheduler
from benchmarks.faulty_link import FaultyLink
from benchmarks.stream_processes import Edge
from benchmarks.tiny_bundle import tiny_bundle

CODECS = {"h264@28": 4, "hevc@28": 8, "av1@35": 24}
"""Name → frames of each stream."""
SIDE = 224
THREADS = 4
LOCAL = OperatingPoint("output")


def rows(folder: Path, shown: Sequence[np.ndarray], streams: int, codecs: Sequence[str] = tuple(CODECS)) -> list[Any]:
    """One row for each codec.

    Args:
        folder: for bundle and credentials.
        shown: frames of a clip.
        streams: how many are opened and left.
        codecs: which.
    """
    bundle = tiny_bundle(SIDE, codecs=codecs)
    bundle.save(folder / "tiny.bundle")
    return [_row(folder, bundle, codec, shown, streams) for codec in codecs]


def _row(folder: Path, bundle: Bundle, codec: str, shown: Sequence[np.ndarray], streams: int) -> dict[str, Any]:
    point = OperatingPoint("input", codec=codec)
    edge = Edge(folder, max_streams=MAX_STREAMS, max_bytes=MAX_BYTES, name="tiny.bundle", recorded=False)
    try:
        real = GrpcLink(edge.address, certificate=edge.credentials.certificate, token=edge.credentials.token)
        link = FaultyLink(real, lambda _: None, random.Random(0))
        scheduler = Scheduler(_profile(bundle, point), _ENERGY, deadline_s=2.0, policy=Fixed(point))
        with Terminal(bundle, scheduler, link) as terminal:
            first = terminal.stream()
            for frame in shown[:3]:
                before = terminal.infer(frame, first).measurement
            begun_bytes = edge.resident_bytes()
            largest_bytes = _open_and_leave(edge, real, _payloads(bundle, point, shown), streams)
            stale, sent = link.stale, len(link.sent)
            after = terminal.infer(shown[3], first).measurement
            return {
                "codec": codec,
                "streams": streams,
                "frames_each": CODECS[codec],
                "nbytes_each": _nbytes(bundle, point, shown[0]),
                "max_bytes": MAX_BYTES,
                "max_streams": MAX_STREAMS,
                "resident_before_bytes": begun_bytes,
                "resident_growth_bytes": largest_bytes - begun_bytes,
                "growth_of_max_bytes": round((largest_bytes - begun_bytes) / MAX_BYTES, 3),
                "first_stream_before": before.answered_by,
                "first_stream_refused_as_stale": link.stale - stale,
                "first_stream_sent_anew": len(link.sent) - sent - 1,
                "first_stream_after": after.answered_by,
                "link_up": terminal.offloads,
            }
    finally:
        edge.kill()


_ENERGY = EnergyModel(ComputePower(3.7), RadioPower("nearly free", uplink_w=0.01))


def _profile(bundle: Bundle, point: OperatingPoint) -> Profile:
    costs = {point: Cost(head_s=0.001, payload_bytes=5000, answer_bytes=150, finish_s=0.01), LOCAL: Cost(head_s=0.01)}
    return Profile(costs, bundle.digest, "said, not measured", "said, not measured")


def _payloads(bundle: Bundle, point: OperatingPoint, shown: Sequence[np.ndarray]) -> list[Message]:
    """The payloads of one stream, each building upon the one before."""
    messages, reference = [], None
    for index, frame in enumerate(itertools.islice(itertools.cycle(shown), CODECS[point.codec])):
        position = StreamPosition(1, index + 1, index, 2.0)
        data, reference = bundle.encode_next(point, (bundle.preprocess(frame),), position, reference)
        messages.append(replace(wire.decode(data), bundle=bundle.digest))
    return messages


def _open_and_leave(edge: Edge, link: GrpcLink, messages: Sequence[Message], streams: int) -> int:
    """Send all payloads of so many streams, from several threads; the largest resident memory meanwhile."""

    def open_one(_: int) -> int:
        name = secrets.randbits(63) + 1
        for message in messages:
            link.exchange(wire.encode(replace(message, stream=name)), 10.0)
        return edge.resident_bytes()

    with ThreadPoolExecutor(THREADS) as pool:
        return max(*pool.map(open_one, range(streams)), edge.resident_bytes())


def _nbytes(bundle: Bundle, point: OperatingPoint, frame: np.ndarray) -> int:
    """What one stream's reference on the edge server says of itself."""
    position = StreamPosition(1, 1, 0, 2.0)
    message = bundle.read(bundle.encode_next(point, (bundle.preprocess(frame),), position)[0])
    reference = bundle.receive(message)[2]
    return 0 if reference is None else reference.nbytes
