"""One codec on the frames of a clip, in order, through a bundle's two ends."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge import OperatingPoint
from adaedge.operating_point import INPUT, OUTPUT
from adaedge.payload import get_codec
from adaedge.stream import Playback
from benchmarks.video_networks import Network

CAMERA = ", camera"
_TIMED = 40
Row = dict[str, Any]
Inputs = tuple[npt.NDArray[np.uint8]]


def play(
    network: Network,
    name: str,
    frames: Sequence[Inputs],
    expected: Sequence[Any],
    codec: str,
    split: str = INPUT,
    *,
    scored: int = 1,
    features: Sequence[Any] | None = None,
) -> Row:
    """One codec at a split point, on some frames in order.

    Bytes are those of the payload, and those of its body, without the message's header. The time is the encoder's,
    without the head's: the median over at most 40 frames, of each the shortest of two plays, by the clock or by what
    all threads compute, since others may compute here.

    Args:
        network: what answers.
        name: of the clip.
        frames: prepared.
        expected: the network's own answers to those that are scored.
        codec: what is measured.
        split: where.
        scored: every frame is sent; the first of each so many is answered and scored.
        features: of each frame, what the head makes, where that is at hand.
    """
    point = OperatingPoint(split, codec=codec)
    features = features or features_at(network, frames, split)
    plays = [_encoded(Playback(network.bundle, point), each) for each in (features, features[:_TIMED])]
    payloads, far = [payload for payload, _ in plays[0]], Playback(network.bundle, point)
    given = []
    for at, payload in enumerate(payloads):
        engine, carried = far.receive(payload)
        if at % scored == 0:
            given.append(network.reduce(engine.run(carried)))
    return {
        "codec": codec,
        "split": split,
        "bytes_per_frame": statistics.fmean(map(len, payloads)),
        "body_bytes_per_frame": statistics.fmean(
            sum(map(len, network.bundle.read(payload).segments)) for payload in payloads
        ),
        "score": network.score(expected, given, name),
        "metric": network.metric,
        "encode_ms": 1e3 * statistics.median(min(a, b) for (_, a), (_, b) in zip(*plays, strict=False)),
    }


def features_at(network: Network, frames: Sequence[Inputs], split: str) -> Sequence[Any]:
    """Of each frame what crosses at a split point."""
    head = None if split == INPUT else network.bundle.head(split)
    return [inputs if head is None else head.run(inputs) for inputs in frames]


def _encoded(playback: Playback, features: Sequence[Any]) -> list[tuple[bytes, float]]:
    """Of each frame its payload, and the seconds that it took."""
    found = []
    for each in features:
        clocks = time.perf_counter(), time.process_time()
        payload = playback.encode(each)
        found.append((payload, min(time.perf_counter() - clocks[0], time.process_time() - clocks[1])))
    return found


def play_camera(network: Network, name: str, frames: Sequence[Any], expected: Sequence[Any], codec: str) -> Row:
    """One video codec at the camera's geometry: the edge server's end resizes what it decoded."""
    coder = get_codec(codec)
    prepared = network.prepare(frames[0])
    (_, (alone,)), _ = coder.encode([prepared], [None])
    whole = Playback(network.bundle, OperatingPoint(INPUT, codec=codec)).encode((prepared,))
    header_bytes = len(whole) - len(alone)
    sent = held = None
    sizes, seconds, given = [], [], []
    for frame in frames:
        start_s = time.perf_counter()
        (headers, segments), sent = coder.encode([frame[None]], [None], sent)
        seconds.append(time.perf_counter() - start_s)
        (decoded,), held = coder.decode(headers, segments, frame.nbytes, held)
        sizes.append(len(segments[0]) + header_bytes)
        outputs = network.bundle.run(OperatingPoint(OUTPUT), (network.prepare(decoded[0]),))
        given.append(network.reduce(outputs))
    return {
        "codec": codec + CAMERA,
        "split": INPUT,
        "bytes_per_frame": statistics.fmean(sizes),
        "score": network.score(expected, given, name),
        "metric": network.metric,
        "encode_ms": 1e3 * statistics.median(seconds),
    }
