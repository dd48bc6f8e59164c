"""Interleaved timing, the same for every benchmark that compares speeds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Arms = dict[str, Callable[[], Any]]


def timed(
    arms: Arms, rounds: int, *, warm_up: int = 10, seed: int = 0, cpu_s: Callable[[], float] = time.thread_time
) -> dict[str, np.ndarray]:
    """Arm → (CPU seconds, wall seconds) of each round, shape (2, rounds).

    CPU seconds are those of this thread; `time.process_time` counts all, for arms that compute in threads of their own.
    Every round runs every arm once, in random order, so that a machine whose speed drifts slows all arms alike.
    """
    draw, names = random.Random(seed), list(arms)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(rounds + warm_up):
        for name in draw.sample(names, len(names)):
            cpu, wall = cpu_s(), time.perf_counter()
            arms[name]()
            if turn >= warm_up:
                seconds[name].append((cpu_s() - cpu, time.perf_counter() - wall))
    return {name: np.array(values).T for name, values in seconds.items()}


def spread(seconds: np.ndarray) -> dict[str, float]:
    """Median and quartiles, to the microsecond."""
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return {
        "median": round(float(median), 6),
        "quartile_low": round(float(low), 6),
        "quartile_high": round(float(high), 6),
    }
