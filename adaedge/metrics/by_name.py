"""A metric of adaedge's by the name that a manifest has of it.

May import: nothing of adaedge; of this part the metrics.
"""

from __future__ import annotations

import re

from adaedge.metrics.boxes import BoxF1
from adaedge.metrics.classes import Agreement, Divergence
from adaedge.metrics.features import Cosine
from adaedge.metrics.maps import LabelIoU
from adaedge.metrics.score import Metric

_PLAIN: tuple[Metric, ...] = (Agreement(), Divergence(), LabelIoU(), BoxF1(), Cosine())
_LEAST_SCORE = re.compile(r"f1@(\d(?:\.\d+)?(?:e-\d+)?)")
_CLASSES = re.compile(r"iou@(\d+(?:,\d+)*)")


def metric_named(name: str) -> Metric | None:
    """The metric that compares two answers and has this name; ``None`` where it is one of a user's own.

    Example:
        >>> metric_named("iou@5,15")
        LabelIoU(classes=(5, 15))
    """
    if classes := _CLASSES.fullmatch(name):
        return LabelIoU(tuple(map(int, classes.group(1).split(","))))
    if least := _LEAST_SCORE.fullmatch(name):
        return BoxF1(least_score=float(least.group(1)))
    return next((metric for metric in _PLAIN if metric.name == name), None)
