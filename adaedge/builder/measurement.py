"""Every point's mean payload and accuracy; what is measured is kept for a build that goes on after a kill.

May import: ``bundle``, ``engine``, ``operating_point``, ``payload``; of this part ``evaluation``, ``samples``,
``scorer``, ``build_cache``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import onnxruntime

from adaedge._version import __version__
from adaedge.builder.build_cache import BuildCache, key
from adaedge.builder.evaluation import Evaluate, Evaluation, content_hash
from adaedge.builder.samples import Samples, evenly_spaced
from adaedge.builder.scorer import Scorer
from adaedge.bundle import Accuracy, Bundle, PointEntry, Subgraph
from adaedge.operating_point import OperatingPoint
from adaedge.payload import uses_bottleneck

_REFRESHES = 32  # of so many frames, a refresh is sent and counted


def evaluate(
    bundle: Bundle,
    evaluate: Evaluate | None,
    held_out: Evaluate | None,
    samples: Samples,
    digest: Callable[[Subgraph | None], bytes],
    scratch: BuildCache,
    report: Callable[[str, int, int], None],
) -> tuple[PointEntry, ...]:
    """The points of a bundle with their figures.

    Args:
        bundle: its points need no figures yet.
        evaluate: measures accuracy; without it none is.
        held_out: the same for bottlenecks: on none of the samples that they were fitted on.
        samples: whose payloads are measured; without any, those that ``evaluate`` sends.
        digest: what identifies a half.
        scratch: keeps each point's figures, unless they come from an ``evaluate`` of the user's own.
        report: progress.
    """
    entries = bundle.manifest.points
    if evaluate is not None and not isinstance(evaluate, Evaluation):
        scratch = BuildCache(None)  # nobody knows what it depends on
    inputs = content_hash(array for sample in samples.inputs for array in sample)
    clips = json.dumps([len(clip.inputs) for clip in samples.clips] + [*samples.changes])
    common = (__version__, onnxruntime.__version__, version("av"), bundle.manifest.answer, inputs, clips)
    done: list[PointEntry] = []
    for cut in bundle.manifest.cuts:
        scorer = Scorer(bundle)  # keeps the features of one split point only
        halves = [digest(half) for half in (cut.head, cut.tail, cut.folded_tail)]
        for part in cut.incrementals:
            halves += [digest(half) for half in part.graphs]
            halves += [repr((part.tolerance, bundle.manifest.files[part.plan].sha256)).encode()]
        bottleneck = bundle.manifest.files[cut.bottleneck].sha256 if cut.bottleneck else ""
        here = cut.split, cut.level
        for entry in (one for one in entries if (one.point.split, one.point.level) == here):
            report("measure", len(done), len(entries))
            judge = held_out if uses_bottleneck(entry.point.codec) else evaluate
            judged = judge.digest if isinstance(judge, Evaluation) else b""
            name = key("point", *common, judged, *halves, bottleneck, str(entry.point))  # whose header names it
            is_own = entry.point.codec in bundle.codecs.own  # which nobody knows what it depends on either
            keeper = BuildCache(None) if is_own else scratch
            found = keeper.get_or(name, partial(_figures, scorer, entry.point, judge, samples))
            done.append(_with_figures(entry, found))
    report("measure", len(entries), len(entries))
    return tuple(done)


def _figures(scorer: Scorer, point: OperatingPoint, evaluate: Evaluate | None, samples: Samples) -> bytes:
    judge = evaluate if isinstance(evaluate, Evaluation) or not _follows_order(scorer.bundle, point) else None
    accuracy = scorer.accuracy(point, judge) if judge else None
    figures: dict[str, Any] = {"accuracy": accuracy and asdict(accuracy)}
    if not scorer.bundle.codecs.is_stateful(point) or not samples:
        return json.dumps(figures | {"payload_bytes": scorer.payload_bytes(point, samples.inputs)}).encode()
    refresh_bytes = scorer.payload_bytes(point, evenly_spaced(samples.inputs, _REFRESHES))
    next_bytes = scorer.bytes_by_change(point, samples)[:-1]
    return json.dumps(figures | {"payload_bytes": refresh_bytes, "next_bytes": next_bytes}).encode()


def _follows_order(bundle: Bundle, point: OperatingPoint) -> bool:
    """Whether answers depend on the frames before: an ``evaluate`` of the user's own, frame by frame, sees none."""
    head = bundle.manifest.cut(point.split, point.level).incremental
    return point.incremental and head is not None and head.tolerance > 0


def _with_figures(entry: PointEntry, figures: bytes) -> PointEntry:
    document = json.loads(figures)
    accuracy = document["accuracy"]
    return replace(
        entry,
        accuracy=accuracy and Accuracy(**accuracy),
        payload_bytes=document["payload_bytes"],
        next_bytes=tuple(document.get("next_bytes", ())),
    )
