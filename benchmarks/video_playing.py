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
Row = dict[str, Any]
Inputs = tuple[npt.NDArray[np.uint8]]


def play(
    network: Network, name: str, frames: Sequence[Inputs], expected: Sequence[Any], codec: str, split: str = INPUT
) -> Row:
    """One codec at a split point, on some frames in order.

    Bytes are those of the payload, and those of its body, without the message's header. The time is the encoder's,
    without the head's: the median over the frames, of each the shortest of two plays, by the clock or by what all
    threads compute, since others may compute here.
    """
    point = OperatingPoint(split, codec=codec)
    head = None if split == INPUT else network.bundle.head(split)
    features = [inputs if head is None else head.run(inputs) for inputs in frames]
    plays = [_encoded(Playback(network.bundle, point), features) for _ in range(2)]
    payloads, far = [payload for payload, _ in plays[0]], Playback(network.bundle, point)
    given = []
    for payload in payloads:
        engine, carried = far.receive(payload)
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
        "encode_ms": 1e3 * statistics.median(min(a, b) for (_, a), (_, b) in zip(*plays, strict=True)),
    }


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
