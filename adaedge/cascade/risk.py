"""The least sureness at which a first answer may be given, so that a floor holds on new frames.

May import: ``errors``.

Conformal risk control (Angelopoulos et al., 'Conformal risk control', ICLR 2024, theorem 1): losses in [0, 1] that
never rise with the threshold; of n exchangeable samples the least threshold at which (n · mean loss + 1) / (n + 1) is
within the limit. The expected loss of a new sample is then within it. Frames of a clip resemble each other, so they
are no such samples; stretches of some seconds, or clips, nearly are: what stands together counts as one, its mean loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from adaedge.arrays import Array
from adaedge.errors import MetricError


def controlled_threshold(
    sureness: Sequence[float] | Array,
    first_loss: Sequence[float] | Array,
    then_loss: Sequence[float] | Array,
    limit: float,
    groups: Sequence[int] | Array | None = None,
) -> float:
    """The least sureness at which first answers may be given; infinite where none may.

    The loss of a frame is that of the second answer, plus the excess of the first where the first is given. Where the
    first is the better one, the excess counts as 0, so losses never rise with the threshold.

    Args:
        sureness: of the first answer to each frame.
        first_loss: what it loses, in [0, 1].
        then_loss: what the second answer would.
        limit: expected loss that is allowed.
        groups: which frames stand together, a number for each; every frame by itself without it.

    Raises:
        MetricError: if there are no frames, or not as many of each.

    Example:
        >>> sure = np.linspace(0.01, 1.0, 100)
        >>> round(controlled_threshold(sure, sure < 0.495, np.zeros(100), limit=0.05), 2)
        0.46
    """
    sure, first, then = (np.asarray(values, np.float64) for values in (sureness, first_loss, then_loss))
    labels = np.arange(len(sure)) if groups is None else np.asarray(groups)
    if not len(sure) or not len(sure) == len(first) == len(then) == len(labels):
        raise MetricError(
            f"each frame has a sureness, two losses and a group; got {len(sure)}, {len(first)}, {len(then)} and"
            f" {len(labels)}"
        )
    _, place, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    weight = 1 / sizes[place] / len(sizes)  # every group counts alike
    order = np.argsort(-sure, kind="stable")
    beyond = np.cumsum((weight * np.maximum(0.0, first - then))[order])
    bound = (len(sizes) * ((weight * then).sum() + beyond) + 1) / (len(sizes) + 1)
    within = bound <= limit + 1e-12
    last = np.append(np.diff(sure[order]) != 0, True)  # frames that are as sure as each other stand or fall together
    allowed = np.flatnonzero(within & last)
    return float(sure[order][allowed[-1]]) if len(allowed) else math.inf
