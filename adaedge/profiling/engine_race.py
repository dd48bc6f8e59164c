"""Which engine runs a bundle's graphs faster on this machine.

May import: ``errors``, ``engine``, ``bundle``.

Every graph is run in every engine, in a random order in every repetition, so that a slow moment of the machine falls
on all of them.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from adaedge.bundle import Bundle, Subgraph
from adaedge.bundle.random_inputs import random_inputs
from adaedge.engine import Arrays, available
from adaedge.errors import BundleError

_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class EngineRace:
    """The result of a race of engines.

    Attributes:
        fastest: name of the engine that needs least.
        seconds: engine → its medians, summed over all graphs of the bundle; those that cannot run it are left out.
        refused: engine → why it cannot, for people.
    """

    fastest: str
    seconds: dict[str, float]
    refused: dict[str, str]


def race_engines(
    bundle: Bundle,
    *,
    repetitions: int = 10,
    threads: int = 1,
    seed: int = 0,
    now_s: Callable[[], float] = time.perf_counter,
) -> EngineRace:
    """Time the engines that are installed here on all graphs of a bundle, with random inputs.

    Args:
        bundle: whose graphs; its own engine does not matter.
        repetitions: how often each graph is run after the warm-up.
        threads: threads inside an operator.
        seed: of the order in which they are run, and of the inputs.
        now_s: the clock.

    Raises:
        BundleError: if ONNX Runtime cannot run the bundle.

    Example:
        >>> race = EngineRace("openvino", {"onnxruntime": 0.012, "openvino": 0.010}, {})
        >>> race.seconds[race.fastest]
        0.01
    """
    halves = [half for cut in bundle.manifest.cuts for half in (cut.head, cut.tail, cut.folded_tail) if half]
    graphs = {half.graph: half for half in halves}
    names = available()
    if len(names) == 1:
        return EngineRace(names[0], {}, {})
    runs: dict[str, list[Callable[[], object]]] = {}
    refused: dict[str, str] = {}
    for name in names:
        try:
            runs[name] = _runs(bundle.with_threads(threads).with_engine(name), graphs, seed)
        except BundleError as error:
            if name == names[0]:  # the one that every bundle is built for
                raise
            refused[name] = str(error)
    seconds = _medians(runs, repetitions, random.Random(seed), now_s)
    return EngineRace(min(seconds, key=lambda name: seconds[name]), seconds, refused)


def _runs(bundle: Bundle, graphs: dict[str, Subgraph], seed: int) -> list[Callable[[], object]]:
    """A call of each graph."""

    def run_of(half: Subgraph, inputs: Arrays) -> Callable[[], object]:
        engine = bundle.engine(half)
        return lambda: engine.run(inputs)

    return [run_of(half, random_inputs(half.inputs, seed)[0]) for half in graphs.values()]


def _medians(
    runs: dict[str, list[Callable[[], object]]], repetitions: int, order: random.Random, now_s: Callable[[], float]
) -> dict[str, float]:
    """Engine → its medians, summed over the graphs."""
    calls = [(name, index, run) for name, each in runs.items() for index, run in enumerate(each)]
    took: dict[tuple[str, int], list[float]] = {(name, index): [] for name, index, _ in calls}
    for _ in range(_WARM_UP + repetitions):
        order.shuffle(calls)
        for name, index, run in calls:
            begin_s = now_s()
            run()
            took[name, index].append(now_s() - begin_s)
    return {
        name: sum(statistics.median(took[name, index][_WARM_UP:]) for index in range(len(each)))
        for name, each in runs.items()
    }
