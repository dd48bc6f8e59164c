"""The 95 % interval of what was measured on samples.

May import: nothing of adaedge.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from adaedge.arrays import Array

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_RESAMPLES = 1000
_ENDS = (0.025, 0.975)


def wilson(hits: float, samples: int) -> tuple[float, float]:
    """The 95 % interval of a fraction: Wilson's score interval (J. Am. Stat. Assoc. 22, 1927).

    Example:
        >>> [round(end, 4) for end in wilson(95, 100)]
        [0.8882, 0.9785]
    """
    fraction, weight = hits / samples, _Z**2 / samples
    centre = (fraction + weight / 2) / (1 + weight)
    reach = _Z / (1 + weight) * math.sqrt(fraction * (1 - fraction) / samples + weight / (4 * samples))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def bootstrap(values: Array, statistic: Callable[[Array], float], *, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a statistic of samples, by resampling them (B. Efron, Ann. Stat. 7, 1979; percentiles).

    Samples that are all alike give an interval of no width; one sample alone says nothing of its spread and gives
    (0, 1). Frames of a clip resemble each other, which makes the interval narrower than it should be.

    Args:
        values: what is known of each sample, (samples, …).
        statistic: of such an array, in [0, 1].
        seed: of the resampling.

    Example:
        >>> low, high = bootstrap(np.array([0.5, 0.7, 0.9, 0.7]), lambda values: float(values.mean()))
        >>> 0.5 < low < 0.7 < high < 0.9
        True
    """
    if len(values) == 1:
        return 0.0, 1.0
    draws = np.random.default_rng(seed).integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile([statistic(values[draw]) for draw in draws], _ENDS)
    value = statistic(values)
    return max(0.0, min(float(low), value)), min(1.0, max(float(high), value))
