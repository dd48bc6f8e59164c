"""How good each operating point is, and how many bytes it sends, measured through its real codec.

May import: ``errors``, ``operating_point``, ``payload``, ``metrics``, ``bundle``. Heads run once per sample and split
point: their features are kept.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Any, final

import numpy as np

from adaedge.bundle import Accuracy, Bundle
from adaedge.bundle.batches import join, pieces
from adaedge.engine import Array, Arrays, Engine
from adaedge.errors import MetricError
from adaedge.metrics import LabelAccuracy, LabelIoU, Metric, default_metric, wilson
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.payload.answers import LabelMap

Predict = Callable[[Arrays], Arrays]
Evaluate = Callable[[Predict], Accuracy | float]


def against_full(bundle: Bundle, samples: Sequence[Arrays], metric: Metric | None = None) -> Evaluation | None:
    """How near a point's answers are to those of the full network on this machine.

    Args:
        bundle: holds the full network.
        samples: inputs, as ``Bundle.run`` takes them. Without any nothing is measured.
        metric: without it `default_metric` chooses one; where it finds none, it warns, and nothing is measured.

    Raises:
        MetricError: if a metric is given, but no samples.
    """
    if metric is not None and not samples:
        raise MetricError(f"{metric.name} compares answers on samples, and there are none. Give some as `calibrate`.")
    if not samples:
        return None
    if metric is None:
        try:
            metric = default_metric(bundle.answers.specs, bundle.manifest.labels)
        except MetricError as error:
            warnings.warn(
                f"no accuracy is measured, so that no point is usable under a floor: {error} (`evaluate` of `build`)",
                UserWarning,
                stacklevel=5,  # the caller of `build`
            )
            return None
    local = OperatingPoint(OUTPUT)
    return Evaluation(metric, samples, answers(metric, lambda inputs: bundle.run(local, inputs), samples))


def top1(samples: Iterable[tuple[Arrays, Any]]) -> Evaluate:
    """Whether a point's class is the label.

    Args:
        samples: (inputs, label or labels of the batch), as ``Bundle.run`` takes the inputs.
    """
    listed = list(samples)
    labels = [(np.atleast_1d(label),) for _, label in listed]
    return Evaluation(LabelAccuracy(), [inputs for inputs, _ in listed], labels)


def answers(metric: Metric, predict: Predict, samples: Sequence[Arrays]) -> list[Arrays]:
    """What the metric needs of each sample's answer, several samples at a time: engines run beside each other."""

    def one(inputs: Arrays) -> Arrays:
        outputs = predict(inputs)
        # Label maps in place of their logits: those of hundreds of samples would not fit into memory.
        return LabelMap().reduce(outputs[:1]) if isinstance(metric, LabelIoU) and outputs[0].ndim == 4 else outputs

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, samples))


@final
class Evaluation:
    """Scores a point by a metric on samples.

    Args:
        metric: compares a point's answers with those expected.
        samples: inputs, as ``Bundle.run`` takes them.
        expected: the answer to each, as `answers` gives them.
    """

    def __init__(self, metric: Metric, samples: Sequence[Arrays], expected: Sequence[Arrays]) -> None:
        self._metric, self._samples, self._expected = metric, samples, expected

    def __call__(self, predict: Predict) -> Accuracy:
        """The score of these answers."""
        found = self._metric.score(self._expected, answers(self._metric, predict, self._samples))
        return Accuracy(self._metric.name, found.value, found.samples, found.low, found.high)

    def besides(self, every: int) -> Evaluation:
        """The same on the samples between each ``every``-th one; on all where there are none between."""
        between = [at for at in range(len(self._samples)) if at % every] or range(len(self._samples))
        samples, expected = [self._samples[at] for at in between], [self._expected[at] for at in between]
        return Evaluation(self._metric, samples, expected)

    @cached_property
    def digest(self) -> bytes:
        """What identifies metric, samples and expected answers."""
        arrays = [array for answer in (*self._samples, *self._expected) for array in answer]
        return repr(self._metric).encode() + identity(arrays)


def _accuracy(metric: str, value: float, samples: int) -> Accuracy:
    unknown = Accuracy(metric, value, samples, 0.0, 1.0)
    low, high = wilson(value * samples, samples) if samples else (0.0, 1.0)
    return replace(unknown, low=low, high=high)


@final
class Scorer:
    """Measures the operating points of one split point, one after another.

    Args:
        bundle: the bundle; its points need no figures yet.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._features: dict[bytes, Arrays] = {}
        self._exact: dict[bytes, Arrays] = {}
        self._lengths: dict[OperatingPoint, dict[bytes, int]] = {}

    def accuracy(self, point: OperatingPoint, evaluate: Evaluate) -> Accuracy:
        """The point's accuracy. A bare fraction is taken over the inputs that differ.

        Raises:
            BundleError: if it is no fraction.
        """

        def predict(inputs: Arrays) -> Arrays:
            return join([self._predict(point, piece) for piece in pieces(inputs, self._bundle.manifest)])

        found = evaluate(predict)
        if isinstance(found, Accuracy):
            return found
        return _accuracy("accuracy", float(found), len(self._lengths.get(point, ())))

    def payload_bytes(self, point: OperatingPoint, samples: Sequence[Arrays] = ()) -> float:
        """Mean length of these inputs' payloads, header included; without any, of those that `accuracy` sent."""
        lengths = self._lengths.setdefault(point, {})
        if samples:
            cut = [piece for sample in samples for piece in pieces(sample, self._bundle.manifest)]
            keys = [identity(piece) for piece in cut]
            for key, piece in zip(keys, cut, strict=True):
                if key not in lengths:
                    self._send(point, piece)
            return float(np.mean([lengths[key] for key in keys]))
        return float(np.mean(list(lengths.values()))) if lengths else 0.0

    def _predict(self, point: OperatingPoint, inputs: Arrays) -> Arrays:
        key, features, engine, received = self._send(point, inputs)
        if not all(map(np.array_equal, features, received)):
            return self._bundle.answers.reduce(engine.run(received))
        if key not in self._exact:  # every lossless codec gives the tail the same
            self._exact[key] = self._bundle.answers.reduce(engine.run(features))
        return self._exact[key]

    def _send(self, point: OperatingPoint, inputs: Arrays) -> tuple[bytes, Arrays, Engine, Arrays]:
        """What identifies these inputs, the features that the head makes of them, what finishes, and from what."""
        key = identity(inputs)
        if key not in self._features:
            self._features[key] = self._bundle.head(point.split, point.level).run(inputs)
        features = self._features[key]
        data = b"" if point.is_local else self._bundle.encode(point, features)
        self._lengths.setdefault(point, {})[key] = len(data)
        if not data:
            return key, features, self._bundle.tail(point.split, point.level), features
        engine, received, _ = self._bundle.receive(self._bundle.read(data))
        return key, features, engine, received


def identity(arrays: Iterable[Array]) -> bytes:
    """What identifies these arrays."""
    digest = hashlib.blake2b()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
