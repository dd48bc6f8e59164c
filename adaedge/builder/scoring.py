"""How good each operating point is, and how many bytes it sends, measured through its real codec.

May import: ``operating_point``, ``bundle``. Heads run once per sample and split point: their features are kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Any, final

import numpy as np

from adaedge.bundle import Accuracy, Bundle, TensorSpec
from adaedge.bundle.batches import join, pieces
from adaedge.engine import Array, Arrays, Engine
from adaedge.metrics import wilson
from adaedge.operating_point import OUTPUT, OperatingPoint

Predict = Callable[[Arrays], Arrays]
Evaluate = Callable[[Predict], Accuracy | float]


def is_classifier(outputs: Sequence[TensorSpec]) -> bool:
    """Whether the first output has the shape of class scores, (N, classes)."""
    first = outputs[0]
    return len(first.shape) == 2 and first.shape[1] > 1 and first.dtype.startswith("float")


def agreement(bundle: Bundle, samples: Sequence[Arrays]) -> Matching | None:
    """Whether a point's class is that of the full network on this machine; ``None`` where the output is no class."""
    if not samples or not is_classifier(bundle.manifest.outputs):
        return None
    local = OperatingPoint(OUTPUT)
    return Matching("agreement", samples, classes(lambda inputs: bundle.run(local, inputs), samples))


def top1(samples: Iterable[tuple[Arrays, Any]]) -> Evaluate:
    """Whether a point's class is the label.

    Args:
        samples: (inputs, label or labels of the batch), as ``Bundle.run`` takes the inputs.
    """
    listed = list(samples)
    return Matching("top1", [inputs for inputs, _ in listed], [np.atleast_1d(label) for _, label in listed])


def classes(predict: Predict, samples: Sequence[Arrays]) -> list[Array]:
    """The class of each sample, several samples at a time: engines run beside each other."""

    def one(inputs: Arrays) -> Array:
        return np.asarray(predict(inputs)[0].argmax(axis=1))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, samples))


@final
class Matching:
    """Scores a point by whether its classes are those expected.

    Args:
        metric: name of what is measured.
        samples: inputs, as ``Bundle.run`` takes them.
        expected: the class of each.
    """

    def __init__(self, metric: str, samples: Sequence[Arrays], expected: Sequence[Array]) -> None:
        self._metric, self._samples, self._expected = metric, samples, expected

    def __call__(self, predict: Predict) -> Accuracy:
        """The fraction of samples that match, with its interval."""
        found = classes(predict, self._samples)
        right = np.concatenate([one == other for one, other in zip(found, self._expected, strict=True)])
        return _accuracy(self._metric, float(right.mean()), right.size)

    def besides(self, every: int) -> Matching:
        """The same on the samples between each ``every``-th one; on all where there are none between."""
        between = [at for at in range(len(self._samples)) if at % every] or range(len(self._samples))
        samples, expected = [self._samples[at] for at in between], [self._expected[at] for at in between]
        return Matching(self._metric, samples, expected)

    @cached_property
    def digest(self) -> bytes:
        """What identifies metric, samples and expected classes."""
        arrays = [array for sample in self._samples for array in sample]
        return self._metric.encode() + identity([*arrays, *self._expected])


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
            return engine.run(received)
        if key not in self._exact:  # every lossless codec gives the tail the same
            self._exact[key] = engine.run(features)
        return self._exact[key]

    def _send(self, point: OperatingPoint, inputs: Arrays) -> tuple[bytes, Arrays, Engine, Arrays]:
        """What identifies these inputs, the features that the head makes of them, what finishes, and from what."""
        key = identity(inputs)
        if key not in self._features:
            self._features[key] = self._bundle.head(point.split, point.width, point.precision).run(inputs)
        features = self._features[key]
        data = b"" if point.is_local else self._bundle.encode(point, features)
        self._lengths.setdefault(point, {})[key] = len(data)
        if not data:
            return key, features, self._bundle.tail(point.split, point.width, point.precision), features
        _, engine, received = self._bundle.receive(data)
        return key, features, engine, received


def identity(arrays: Iterable[Array]) -> bytes:
    """What identifies these arrays."""
    digest = hashlib.blake2b()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
