"""What do encoder and decoder of ``delta@`` cost beside head and tail?

EfficientNet-Lite0 after blocks.3, bottleneck and tables fitted on a clip's first half as in ``delta_bytes``; frames of
the second half in order, each building upon the one before, in ONNX Runtime on one thread, arms interleaved in random
order, CPU seconds of the thread. A moving clip, where the most is sent, and one of a camera that stands still.
``decode`` ends in features; ``folded`` is the decoder and the tail that takes coefficients, less the tail alone.

Bar: encoding takes at most 25 % of the head's time, decoding at most 25 % of the tail's.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaedge import OperatingPoint
from adaedge.clip import decode
from adaedge.payload.latent import DeltaCodec
from benchmarks.delta_bytes import CASES, network_of
from benchmarks.result import write
from benchmarks.timing import spread, timed
from benchmarks.video_clips import CLIPS, count
from benchmarks.video_networks import Network

SHOWN = ("one-by-one-person-detection", "bikes")
RATES = (3, 5, 7)
FRAMES, ROUNDS, BAR = 30, 150, 0.25
SPLIT = CASES["efficientnet_lite0"].split
MAX_BYTES = 2**24


def encoding(codec: DeltaCodec, features: list[Any]) -> Callable[[], Any]:
    """Encodes the next frame upon the one before."""
    source, reference = itertools.cycle(features + features[-2:0:-1]), None

    def arm() -> None:
        nonlocal reference
        _, reference = codec.encode([next(source)], (), reference)

    return arm


def payloads(codec: DeltaCodec, features: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Each payload, and the reference that it builds upon, again and again; without the refresh."""
    reference, found = None, []
    for feature in features:
        payload, after = codec.encode([feature], (), reference)
        found.append((payload, reference))
        reference = after
    return itertools.cycle(found[1:])


def row_of(network: Network, clip: Path, rate: int, rounds: int) -> dict[str, Any]:
    """One rate on one clip."""
    bundle, begin = network.bundle, count(clip) // 2
    shown = [network.prepare(one) for one in itertools.islice(decode(str(clip)), begin, begin + FRAMES)]
    point = OperatingPoint(SPLIT, codec=f"delta@{rate}")
    route = bundle.route(point)
    head, tail = bundle.head(SPLIT), bundle.tail(SPLIT)
    features = [head.run((pixels,))[0] for pixels in shown]
    frames, crossing = itertools.cycle(shown), itertools.cycle(features)
    sent, again = payloads(route.codec, features), payloads(route.codec, features)

    def decoded(codec: DeltaCodec, source: Iterator[Any]) -> Any:
        (headers, segments), reference = next(source)
        return codec.decode(headers, segments, MAX_BYTES, reference)[0]

    arms = {
        "head": lambda: head.run((next(frames),)),
        "encode": encoding(route.codec, features),
        "decode": lambda: decoded(route.codec, sent),
        "tail": lambda: tail.run((next(crossing),)),
        "folded": lambda: route.edge.run(decoded(route.edge_codec, again)),
    }
    seconds = {name: cpu for name, (cpu, _) in timed(arms, rounds).items()}
    medians = {name: float(np.median(each)) for name, each in seconds.items()}
    body = np.mean([len(payload[1][0]) for payload, _ in itertools.islice(payloads(route.codec, features), FRAMES - 1)])
    return {
        "clip": clip.name,
        "rate": rate,
        "body_bytes": round(float(body), 1),
        **{f"{name}_s": spread(each) for name, each in seconds.items()},
        "encode_over_head": round(medians["encode"] / medians["head"], 4),
        "decode_over_tail": round(medians["decode"] / medians["tail"], 4),
        "folded_over_tail": round(medians["folded"] / medians["tail"] - 1, 4),
    }


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--kept", type=Path, help="a folder in which bottlenecks are kept, as of delta_bytes")
    parser.add_argument("--smoke", action="store_true", help="one clip, one rate, five rounds; nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for clip in [clip for clip in CLIPS if clip.stem in SHOWN][: 1 if options.smoke else None]:
        network = network_of(clip, kept=options.kept)
        for rate in RATES[: 1 if options.smoke else None]:
            rows.append(row_of(network, clip, rate, 5 if options.smoke else options.rounds))
            print(rows[-1], flush=True)
    held = all(row["encode_over_head"] <= BAR and row["decode_over_tail"] <= BAR for row in rows)
    print(f"bar {BAR}: {'met' if held else 'MISSED'}")
    if not options.smoke:
        write("delta_cost", rows, bar=BAR, rounds=options.rounds)


if __name__ == "__main__":
    main()
