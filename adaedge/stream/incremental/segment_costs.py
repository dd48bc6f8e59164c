"""What a plan's segments cost on this machine.

May import: nothing of adaedge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.stream.incremental.costs import Costs
from adaedge.stream.incremental.plan import Kind
from adaedge.stream.incremental.reach import volume
from adaedge.stream.incremental.runner import IncrementalRunner

_SMALL = 8  # a box of an eighth of each side shows what a call costs


def measure_segments(runner: IncrementalRunner, inputs: Sequence[npt.NDArray[Any]], rounds: int = 3) -> Costs:
    """Seconds of each segment as a whole, of the whole network, and of a call whatever its size.

    Args:
        runner: whose engines are timed.
        inputs: a frame.
        rounds: medians are of so many, after one that warms up.
    """
    plan = runner.plan
    made = runner.whole.run(inputs)
    values = dict(zip(plan.inputs, inputs, strict=True))
    values |= dict(zip([place for place in range(len(plan.held)) if place not in values], made, strict=True))
    plain = runner.plain or runner.whole
    whole = min(_seconds(lambda: plain.run(inputs), rounds), _seconds(lambda: runner.whole.run(inputs), rounds))
    segments, calls = [], []
    for segment, engine in zip(plan.segments, runner.engines, strict=True):
        given = [values[place] for place in segment.inputs]
        dense = _seconds(lambda engine=engine, given=given: engine.run(given), rounds)  # type: ignore[misc]
        segments.append(dense)
        if segment.kind is not Kind.PART:
            continue
        grid = plan.grid(segment)
        box = tuple((start, start + max(1, (stop - start) // _SMALL)) for start, stop in grid)
        crop = plan.crop(segment, box)
        part = [
            np.ascontiguousarray(values[place][plan.held[place].at(plan.input_box(segment, at, crop))])
            if segment.source_units(at)
            else values[place]
            for at, place in enumerate(segment.inputs)
        ]
        share = volume(crop) / max(1, volume(grid))
        took = _seconds(lambda engine=engine, part=part: engine.run(part), rounds)  # type: ignore[misc]
        calls.append(max(0.0, took - dense * share))
    return Costs(whole, tuple(segments), median(calls) if calls else 0.0)


def _seconds(run: Callable[[], Any], rounds: int) -> float:
    run()
    taken = []
    for _ in range(rounds):
        started = time.thread_time()
        run()
        taken.append(time.thread_time() - started)
    return median(taken)
