"""How good answers are: a number in [0, 1], higher is better, with its 95 % interval.

May import: ``errors``. NumPy only: a terminal can judge its own answers.

An answer is a tuple of arrays, of one frame or a batch; a metric compares lists of them, frame by frame:

    Agreement      same class as expected, Wilson's interval
    LabelAccuracy  same class as the label, Wilson's interval
    Divergence     exp(−mean KL) of the predicted distributions, KL in nats
    LabelIoU       intersection over union of label maps, pooled over the frames
    BoxF1          F1 of boxes that overlap by half, pooled over the frames
    Cosine         mean cosine of features, below 0 counts as 0

The intervals of the last four are bootstrapped over answers, always with the same seed. `default_metric` chooses by the
shape of a model's outputs.
"""

from adaedge.metrics.boxes import BoxF1
from adaedge.metrics.by_name import metric_named
from adaedge.metrics.classes import Agreement, Divergence, LabelAccuracy
from adaedge.metrics.defaults import default_metric
from adaedge.metrics.features import Cosine
from adaedge.metrics.intervals import bootstrap, wilson
from adaedge.metrics.maps import LabelIoU
from adaedge.metrics.score import Answer, Metric, Score

__all__ = [
    "Agreement",
    "Answer",
    "BoxF1",
    "Cosine",
    "Divergence",
    "LabelAccuracy",
    "LabelIoU",
    "Metric",
    "Score",
    "bootstrap",
    "default_metric",
    "metric_named",
    "wilson",
]
