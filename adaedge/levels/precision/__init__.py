"""Precision levels: a whole ONNX graph in fp32 → the same graph in int8, calibrated and measured.

May import: ``errors``.

`quantise` is called once per width; heads are cut out of what it returns. See ``docs/explanation/precision.md`` for
what was compared.
"""

from adaedge.arrays import cosine
from adaedge.levels.precision.agreement import Metric, same_class
from adaedge.levels.precision.quantised_graph import Quantised, crossing
from adaedge.levels.precision.scheme_choice import quantise

__all__ = ["Metric", "Quantised", "cosine", "crossing", "quantise", "same_class"]
