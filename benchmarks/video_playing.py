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
    """One codec at a split point, on some frames in order; its seconds are the encoder's, without the head's.

    Bytes are those of the payload, and those of its body, without the message's header.
    """
    playback = Playback(network.bundle, OperatingPoint(split, codec=codec))
    head = None if split == INPUT else network.bundle.head(split)
    sizes, bodies, seconds, given = [], [], [], []
    for inputs in frames:
        features = inputs if head is None else head.run(inputs)
        start_s = time.perf_counter()
        payload = playback.encode(features)
        seconds.append(time.perf_counter() - start_s)
        engine, carried = playback.receive(payload)
        sizes.append(len(payload))
        bodies.append(sum(map(len, network.bundle.read(payload).segments)))
        given.append(network.reduce(engine.run(carried)))
    return {
        "codec": codec,
        "split": split,
        "bytes_per_frame": statistics.fmean(sizes),
        "body_bytes_per_frame": statistics.fmean(bodies),
        "score": network.score(expected, given, name),
        "metric": network.metric,
        "encode_ms": 1e3 * statistics.median(seconds),
    }


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
