"""A bundle as a matrix compares it: timed once on this machine, and how its answers are judged.

May import: ``errors``, ``clip``, ``operating_point``, ``metrics``, ``bundle``, ``stream``, ``profiling``; of this part
``cell``, ``scenarios``.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from adaedge.bundle import Bundle
from adaedge.clip import Clip, Frame
from adaedge.errors import BundleError, MetricError
from adaedge.matrix.cell import Network
from adaedge.matrix.clip_run import Progress
from adaedge.matrix.scenarios import NATS
from adaedge.metrics import Divergence, Metric, metric_named
from adaedge.operating_point import KEPT, OUTPUT, Cost, OperatingPoint, Profile
from adaedge.profiling import profile
from adaedge.stream import MovedBlocks, Window

FLOOR = 0.95
_FRAMES = 32


def floor_for(metric: Metric | None) -> float:
    """The floor that is asked for by default: 0.95, or 0.1 nats of divergence; none where nothing is judged."""
    if metric is None:
        return 0.0
    return math.exp(-NATS) if metric.name == Divergence().name else FLOOR


def metric_of(bundle: Bundle) -> Metric | None:
    """The metric of a bundle's answers: the one that it was built with, else the default one of its outputs.

    ``None`` where its weights are random, or its answers cannot be judged.
    """
    manifest = bundle.manifest
    if not manifest.trained:
        return None
    named = next((entry.accuracy.metric for entry in manifest.points if entry.accuracy), "")
    try:
        return metric_named(named) or bundle.answers.default_metric()
    except MetricError:
        return None


def measure_network(
    bundle: Bundle,
    clip: Clip,
    *,
    name: str = "",
    metric: Metric | None = None,
    floor: float | None = None,
    repetitions: int = 10,
    progress: Progress | None = None,
) -> Network:
    """Time a bundle's parts on this machine.

    Args:
        bundle: the model.
        clip: frames to run it on; some from its first half.
        name: for people; the model's by default.
        metric: judges its answers; see `metric_of`.
        floor: least accuracy; see `floor_for`.
        repetitions: how often each part is run.
        progress: called as ``progress(what, done, total)``.

    Raises:
        BundleError: if the model takes no frames, or the bundle no local run.
    """
    manifest = bundle.manifest
    if manifest.preprocessing is None:
        raise BundleError(
            "a matrix shows clips to a model, and this bundle takes no frames. Build it with a preprocessing."
        )
    frames: Sequence[Frame] = list(islice(clip, _FRAMES))
    window = Window(manifest.preprocessing)
    inputs = [window.inputs_of(frame) for frame in frames]
    costs = profile(bundle, repetitions=repetitions, frames=inputs, threads=bundle.threads, progress=progress)
    whole = manifest.cut(OUTPUT).head
    height, width = manifest.preprocessing.size
    judge = metric_of(bundle) if metric is None else metric
    return Network(
        name or manifest.model,
        _with_kept(costs, frames),
        float(whole.macs if whole else 0),
        float(height * width),
        judge if manifest.trained else None,
        (floor_for(judge) if floor is None else floor) if manifest.trained else 0.0,
    )


def _with_kept(costs: Profile, frames: Sequence[Frame]) -> Profile:
    """With what looking at a frame takes, whether or not the bundle itself keeps answers."""
    detector, spent = MovedBlocks(), []
    before = detector.look(frames[0])
    for frame in frames:
        start_s = time.thread_time()  # on one core, whatever else the machine does
        detector.change(before, detector.look(frame))
        spent.append(time.thread_time() - start_s)
    change_s, counted_s = statistics.median(spent), costs[KEPT].head_s if KEPT in costs else 0.0

    def cost(point: OperatingPoint, one: Cost) -> Cost:
        return (
            Cost(change_s, accuracy=None) if point == KEPT else replace(one, head_s=one.head_s - counted_s + change_s)
        )

    every = {KEPT: Cost(change_s, accuracy=None)} | {point: cost(point, one) for point, one in costs.items()}
    after = {point: tuple(cost(point, one) for one in each) for point, each in costs.next_costs.items()}
    return replace(costs, costs=every, next_costs=after)
