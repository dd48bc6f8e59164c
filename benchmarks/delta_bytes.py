"""How many bytes does a frame take where only what changed of a bottleneck's latents crosses, beside video codecs?

EfficientNet-Lite0 with real weights, after blocks.3, on the clips of ``video_bytes``, scored by the mean divergence
from the answer to the frame as it came; and DeepLabV3, after blocks.3.0, with 23 % of the multiply-accumulates before
it, on the clips of a person and of bottles, scored by the intersection over union of their class over all frames. All
that is fitted or chosen is on a clip's first half: the bottleneck on 64 frames at even distances; tables of changes,
and how much a change must be worth to be sent, on 50 frames in order, DeepLabV3's on six such stretches; which video
codec is compared. Each rate and each video codec runs over frames of both halves, in order, a refresh first; what the
edge server's end decodes is what the network's tail, or the network, answers. Of EfficientNet-Lite0 these are the first
40 frames of a half. Of DeepLabV3 it is all of the half, for a person walks through some of it only, and every sixteenth
answer is scored. Bytes are those of the second half at the target, interpolated between two measured settings.

Compared is the video codec, 4:2:0 or 4:4:4, that takes the fewest bytes at the target on the first half, of those
settings that encode a frame of the network's geometry in 5 ms or less there; where none reaches it there, the one that
takes the fewest on the second half. ``of_any`` is the same without a limit of time. ``body`` is without the message's
header, which is the same for all frames of a codec; below 100 bytes a frame it is what counts.

Bar: EfficientNet-Lite0, geometric mean at least 2.5 times fewer bytes than the best video codec, where that reaches the
target, and each clip at least 1.2 times. DeepLabV3, person: 1.7 times at an IoU of .85, 3.5 times at .92; bottle: never
more. Goal: 4 and 1.5; 2.5 and 6.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from adaedge import Bottleneck, Space, Splittable, build
from adaedge.clip import decode
from benchmarks.result import write
from benchmarks.video_bytes import AT, CRFS, bytes_at, codecs, half, shown_from
from benchmarks.video_clips import CLIPS, class_of, count
from benchmarks.video_networks import NATS, NETWORKS, Network, bottleneck_of, tensor_of
from benchmarks.video_playing import Row

FAMILIES = ("bottleneck", "delta")
IN_ORDER, STRETCHES = 50, 6
SMALL_BYTES, LONGEST_MS = 100, 5.0
BAR, EACH = 2.5, 1.2
PERSON = {0.85: 1.7, 0.92: 3.5}


@dataclass(frozen=True)
class Case:
    """How a network is measured.

    Attributes:
        split: where it is cut.
        targets: scores that bytes are compared at, the easiest first.
        frames: of each half; ``None`` for all of it.
        scored: the first of so many frames is answered and scored; all of them are sent.
    """

    split: str
    targets: tuple[float, ...]
    frames: int | None
    scored: int = 1


@dataclass(frozen=True)
class Target:
    """A score that is to be reached."""

    metric: str
    target: float

    def good(self, score: float) -> bool:
        """Whether a score reaches it."""
        return score <= self.target if self.metric == "divergence" else score >= self.target


CASES = {
    "efficientnet_lite0": Case("blocks.3", (NATS,), 40),
    "deeplabv3": Case("blocks.3.0", tuple(PERSON), None, 16),
}


def network_of(clip: Path, model: str = "efficientnet_lite0", *, kept: Path | None = None) -> Network:
    """The network in a bundle with a bottleneck and its deltas, fitted on a clip's first half.

    Args:
        clip: whose first half is looked at.
        model: one of ``CASES``.
        kept: a folder in which what is fitted is kept.
    """
    plain, case = NETWORKS[model](), CASES[model]
    cut, path = Splittable(plain.module, plain.example), kept and kept / f"{model}-{clip.stem}.bottleneck"
    if path and path.exists():
        own = Bottleneck.load(path, cut)
    else:
        still = bottleneck_of(plain, clip, cut, case.split, kept=kept)
        own = still.fit_changes(in_order(plain, clip, case))
        if path:
            own.save(path)
    space = Space([case.split], codecs=[own, "delta"])
    bundle = build(plain.module, plain.example, space, preprocessing=plain.geometry)
    return replace(plain, bundle=bundle, target=case.targets[-1])


def in_order(network: Network, clip: Path, case: Case) -> list[list[torch.Tensor]]:
    """Frames of a clip's first half in order, for tables of changes: as many stretches as its frames are of a half."""
    half = count(clip) // 2
    if case.frames is None:
        begins = [round(at * (half - IN_ORDER) / (STRETCHES - 1)) for at in range(STRETCHES)]
    else:
        begins = [shown_from(network, clip, 0, half, IN_ORDER)]
    wanted = {at for begin in begins for at in range(begin, min(begin + IN_ORDER, half))}
    pictures = enumerate(islice(decode(str(clip)), half))
    seen = {at: tensor_of(network, network.prepare(picture)) for at, picture in pictures if at in wanted}
    return [[seen[at] for at in range(begin, min(begin + IN_ORDER, half))] for begin in begins]


def clips_of(model: str) -> list[Path]:
    """The clips that a network is measured on: a segmenter on those with its classes."""
    return [clip for clip in CLIPS if class_of(clip.stem) or (model != "deeplabv3" and "indoor" not in clip.stem)]


def families_of(network: Network, split: str) -> dict[str, list[str]]:
    """Family → its codecs, the fewest bytes first, as ``half`` takes them."""
    inner = [point.codec for point in network.bundle.points if point.split == split]
    latents = {name: [f"{codec}{AT}{split}" for codec in inner if family(codec) == name] for name in FAMILIES}
    return latents | {name: each for name, each in codecs().items() if name.removesuffix("-444") in CRFS}


def family(codec: str) -> str:
    """What a codec is called without its rate."""
    return codec.partition("@")[0]


def latent_rows(clip: Path, limit: int) -> list[Row]:
    """Every rate of ``bottleneck@`` and ``delta@`` of EfficientNet-Lite0 on the beginning of a clip's second half."""
    network = network_of(clip)
    families = families_of(network, CASES["efficientnet_lite0"].split)
    return half(network, clip, True, limit, {name: families[name] for name in FAMILIES}, whole=True)


def quick(rows: Sequence[Row], slow: set[str]) -> list[Row]:
    """Without the settings of video codecs that are too slow."""
    return [row for row in rows if row["codec"] not in slow]


def too_slow(halves: Sequence[Sequence[Row]]) -> set[str]:
    """The video codecs' settings that take longer than they may: on the first half, if they ran there."""
    first = {row["codec"]: row["encode_ms"] for rows in reversed(halves) for row in rows}
    return {codec for codec, ms in first.items() if family(codec) not in FAMILIES and ms > LONGEST_MS}


def at_target(rows: Sequence[Row], target: Target, *, body: bool = False) -> dict[str, float | None]:
    """Family → bytes at the target, with the header or without; ``None`` where it is not reached."""
    name = "body_bytes_per_frame" if body else "bytes_per_frame"
    sized = [row | {"bytes_per_frame": row[name]} for row in rows]
    names = dict.fromkeys(family(row["codec"]) for row in rows)
    own = {name: [row["codec"] for row in rows if family(row["codec"]) == name] for name in names}
    return {name: bytes_at(sized, each, target) for name, each in own.items()}


def compared(halves: Sequence[Sequence[Row]], target: Target) -> Row:
    """What is chosen on the first half, and how many times fewer bytes deltas take than that on the second.

    Where no video codec reaches the target on the first half, or it was not measured, it is compared with the one that
    does best on the second.
    """
    first, whole = (at_target(rows, target) for rows in halves)
    bodies = at_target(halves[1], target, body=True)
    reached = [{name: size for name, size in one.items() if name not in FAMILIES and size} for one in (first, whole)]
    videos = reached[0] or reached[1]
    chosen = min(videos, key=lambda name: videos[name]) if videos else None
    # Where what is sent is this small, the header would be most of it: bodies are compared.
    small = (bodies["delta"] or math.inf) < SMALL_BYTES
    theirs, ours = ((bodies if small else whole).get(name) for name in (chosen or "", "delta"))
    about = {
        "chosen": chosen,
        "chosen_on": "first half" if reached[0] else "second half",
        "judged_on": "body" if small else "payload",
    }
    return about | {
        "times_fewer": theirs / ours if theirs and ours else None,
        "payload_bytes": whole,
        "body_bytes": bodies,
    }


def judged(model: str, rows: Sequence[Row]) -> list[Row]:
    """What a clip's two halves come to at each target: within the time that an encoder may take, and without limit."""
    halves = [[row for row in rows if row["half"] == name] for name in ("first", "second")]
    slow, about, summaries = too_slow(halves), rows[0], []
    for score in CASES[model].targets:
        target = Target(about["metric"], score)
        every, within = compared(halves, target), compared([quick(each, slow) for each in halves], target)
        named = {name: about[name] for name in ("model", "clip", "metric")} | {"target": score}
        of_any = {name: every[name] for name in ("chosen", "chosen_on", "times_fewer")}
        summaries.append(named | within | {"of_any": of_any, "too_slow": sorted(slow)})
    return summaries


def measured(
    model: str,
    clip: Path,
    limit: int | None,
    kept: Path | None = None,
    families: Sequence[str] = (),
    halves: Sequence[str] = ("first", "second"),
) -> list[Row]:
    """Every codec on both halves of a clip; read from a folder where that was measured before.

    Args:
        model: one of ``CASES``.
        clip: the clip.
        limit: frames of each half; ``None`` for all.
        kept: the folder.
        families: these only; all without any.
        halves: these only.
    """
    path = kept and kept / f"{model}-{clip.stem}-{limit or 'half'}.json"
    if path and path.exists():
        return list(json.loads(path.read_text(encoding="utf-8")))
    network = network_of(clip, model, kept=kept)
    every = families_of(network, CASES[model].split)
    wanted = {name: each for name, each in every.items() if not families or name in families}
    scored = CASES[model].scored if limit is None else 1
    rows = [
        {"model": model, "clip": clip.name, "half": name, "family": family(row["codec"])} | row
        for name in halves
        for row in half(network, clip, name == "second", limit, wanted, scored=scored)
    ]
    if path:
        path.write_text(json.dumps(rows), encoding="utf-8")
    return rows


def held(summaries: Sequence[Row]) -> tuple[float, bool]:
    """The geometric mean of the classifier's ratios, and whether every bar is met."""
    classified = [one["times_fewer"] for one in summaries if one["metric"] == "divergence" and one["times_fewer"]]
    mean = statistics.geometric_mean(classified) if classified else math.nan
    met = mean >= BAR and min(classified, default=0) >= EACH
    for one in summaries:
        if one["metric"] == "iou":
            bar = PERSON[one["target"]] if "person" in one["clip"] else 1.0
            met = met and (one["times_fewer"] or 0) >= bar
    return mean, met


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="this clip only; nothing written")
    parser.add_argument("--model", choices=CASES, help="this network only; nothing written")
    parser.add_argument("--frames", type=int, help="of each half, in place of 40, or of the segmenter's whole halves")
    parser.add_argument("--families", nargs="*", default=(), help="these families of codecs only; nothing written")
    parser.add_argument("--second", action="store_true", help="second halves only; nothing written")
    parser.add_argument("--kept", type=Path, help="a folder: clips that are measured are kept here, and not again")
    parser.add_argument("--smoke", action="store_true", help="six frames of one clip, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = [options.model] if options.model else list(CASES)[: 1 if options.smoke or options.clip else None]
    rows, summaries, halves = [], [], ("first", "second")[options.second :]
    for model in models:
        for clip in [options.clip] if options.clip else clips_of(model)[: 1 if options.smoke else None]:
            limit = 6 if options.smoke else options.frames or CASES[model].frames
            found = measured(model, clip, limit, options.kept, options.families, halves)
            its = judged(model, found)
            rows += found
            summaries += its
            print(*its, sep="\n", flush=True)
    mean, met = held(summaries)
    print(f"geometric mean {mean:.2f}; bar {BAR}, {EACH} each, {PERSON}: {'met' if met else 'MISSED'}")
    if not (options.smoke or options.clip or options.model or options.families or options.second):
        frames = {model: options.frames or case.frames or "all" for model, case in CASES.items()}
        settings = {"frames_per_half": frames, "nats": NATS, "longest_ms": LONGEST_MS}
        write("delta_bytes", rows, summary=summaries, geometric_mean=mean, **settings)


if __name__ == "__main__":
    main()
