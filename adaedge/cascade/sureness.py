"""How sure a network is of its answer.

May import: ``errors``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import MetricError

Sureness = Callable[[Sequence[Array], float], float]
"""``sureness(outputs, temperature)``: in [0, 1], of a model's outputs on one frame; higher is surer."""

_COLDEST, _HOTTEST, _STEPS = -3.0, 3.0, 40
_GOLDEN = (math.sqrt(5) - 1) / 2


def top_probability(outputs: Sequence[Array], temperature: float = 1.0) -> float:
    """The probability of the best class, softened: softmax(scores / temperature); of a map its mean over the positions.

    The scores are the first floating-point output (1, classes) or (1, classes, …), two classes or more.

    Raises:
        MetricError: if there are no such scores.

    Example:
        >>> top_probability([np.array([[0.0, np.log(3.0)]])])
        0.75
    """
    scores = scores_of(outputs) / temperature
    shifted = np.exp(scores - scores.max(1, keepdims=True))
    return float((shifted.max(1) / shifted.sum(1)).mean())


def scores_of(outputs: Sequence[Array]) -> Array:
    """The scores of classes among a model's outputs, in double precision.

    Raises:
        MetricError: if there are none.
    """
    for output in outputs:
        array = np.asarray(output)
        if array.ndim >= 2 and array.shape[1] > 1 and array.dtype.kind == "f":
            return array.astype(np.float64)
    shapes = ", ".join(f"{np.asarray(output).dtype} {np.asarray(output).shape}" for output in outputs)
    raise MetricError(
        f"no output has scores of classes (1, classes, …) that tell how sure it is; they are {shapes}. Give a"
        " `sureness` of your own."
    )


def fitted_temperature(scores: Sequence[Array], classes: Sequence[Array]) -> float:
    """The temperature at which these scores are least surprised by the right classes (Guo et al., ICML 2017).

    Args:
        scores: of each frame (1, classes, …).
        classes: of each frame the right ones (1, …).

    Example:
        >>> scores = [np.array([[0.0, 4.0]])] * 4
        >>> right = [np.array([1])] * 3 + [np.array([0])]
        >>> round(fitted_temperature(scores, right), 2)  # 3 of 4: the logarithm of 3 is 4 / 3.64
        3.64
    """
    flat = np.concatenate(
        [np.moveaxis(np.asarray(each, np.float64), 1, -1).reshape(-1, each.shape[1]) for each in scores]
    )
    right = np.concatenate([np.asarray(each).reshape(-1) for each in classes]).astype(np.int64)
    flat = flat - flat.max(1, keepdims=True)

    def surprise(logarithm: float) -> float:
        warm = flat / math.exp(logarithm)
        return float(np.mean(np.log(np.exp(warm).sum(1)) - warm[np.arange(len(right)), right]))

    low, high = _COLDEST, _HOTTEST
    for _ in range(_STEPS):  # golden section: the surprise has one valley in the temperature
        first, second = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, second) if surprise(first) <= surprise(second) else (first, high)
    return math.exp((low + high) / 2)
