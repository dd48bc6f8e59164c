"""The metric that fits a model, where the user chose none.

May import: ``errors``; of this part the metrics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaedge.errors import MetricError
from adaedge.metrics.boxes import BoxF1, Output, find_boxes
from adaedge.metrics.classes import Agreement
from adaedge.metrics.features import Cosine
from adaedge.metrics.maps import LabelIoU
from adaedge.metrics.score import Metric


def default_metric(outputs: Sequence[Output], classes: Sequence[str] = ()) -> Metric:
    """The metric that fits the shapes of a model's outputs, or of its answer codec's; the first rule that holds.

    1. Boxes (…, M, 4) with floating-point scores (…, M): F1 of boxes.
    2. Indices and scores of ``best@K``, both (N, K); scores (N, C), C at least 2: agreement of the class. (N, 4) is
       taken for scores only where the model names four classes: it may as well be boxes.
    3. Logits (N, C, h, w), C at least 2, or integer labels (N, H, W): IoU of label maps.
    4. Floating-point outputs of more than one value a sample: cosine of features.

    Args:
        outputs: type and shape of each output.
        classes: names of the classes that the model tells apart; empty where it names none.

    Raises:
        MetricError: if none holds: a token, a class index, a single number.
    """
    if find_boxes(outputs):
        return BoxF1()
    kinds = [(_is_floating(one), len(one.shape)) for one in outputs]
    if kinds[:1] == [(True, 2)] and outputs[0].shape[1] > 1:
        if outputs[0].shape[1] != 4 or len(classes) == 4:
            return Agreement()
        raise MetricError(_message(outputs, "four values may be a box or four scores"))
    if kinds == [(False, 2), (True, 2)] and outputs[0].shape == outputs[1].shape:
        return Agreement()
    if (kinds[:1] == [(True, 4)] and outputs[0].shape[1] > 1) or (kinds == [(False, 3)] and outputs[0].dtype != "bool"):
        return LabelIoU()
    if any(floating and dimensions >= 2 for floating, dimensions in kinds) and _values(outputs) > 1:
        return Cosine()
    raise MetricError(_message(outputs, "no rule says how to judge them"))


def _is_floating(spec: Output) -> bool:
    return bool(np.issubdtype(np.dtype(spec.dtype), np.floating))


def _values(outputs: Sequence[Output]) -> int:
    """Floating-point values of a sample."""
    return sum(int(np.prod(one.shape[1:])) for one in outputs if _is_floating(one) and len(one.shape) >= 2)


def _message(outputs: Sequence[Output], why: str) -> str:
    got = ", ".join(f"{one.dtype} {one.shape}" for one in outputs) or "nothing"
    return (
        f"outputs {got}: {why}. Pass a metric: Agreement() for class scores, BoxF1() for boxes with scores, LabelIoU()"
        " for maps, Cosine() for features, or one of your own."
    )
