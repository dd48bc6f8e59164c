"""How good each operating point is, and how many bytes it sends, measured through its real codec.

May import: ``operating_point``, ``bundle``. Heads run once per sample and split point: their features are kept.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import numpy as np

from adaedge.bundle import Accuracy, Bundle
from adaedge.bundle.batches import join, pieces
from adaedge.engine import Arrays
from adaedge.operating_point import OUTPUT, OperatingPoint

Predict = Callable[[Arrays], Arrays]
Evaluate = Callable[[Predict], Accuracy | float]

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


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


def agreement(bundle: Bundle, samples: Sequence[Arrays]) -> Evaluate | None:
    """Whether a point's class is that of the full network on this machine; ``None`` where the output is no class."""
    first = bundle.manifest.outputs[0]
    if not samples or len(first.shape) != 2 or first.shape[1] < 2 or not first.dtype.startswith("float"):
        return None
    local = OperatingPoint(OUTPUT)
    expected = [np.argmax(bundle.run(local, sample)[0], axis=1) for sample in samples]
    return _matches("agreement", samples, expected)


def top1(samples: Iterable[tuple[Arrays, Any]]) -> Evaluate:
    """Whether a point's class is the label.

    Args:
        samples: (inputs, label or labels of the batch), as ``Bundle.run`` takes the inputs.
    """
    listed = list(samples)
    return _matches("top1", [inputs for inputs, _ in listed], [np.atleast_1d(label) for _, label in listed])


def _matches(metric: str, samples: Sequence[Arrays], expected: Sequence[Any]) -> Evaluate:
    def evaluate(predict: Predict) -> Accuracy:
        found = [np.argmax(predict(sample)[0], axis=1) for sample in samples]
        right = np.concatenate([one == other for one, other in zip(found, expected, strict=True)])
        return _accuracy(metric, float(right.mean()), right.size)

    return evaluate


def _accuracy(metric: str, value: float, samples: int) -> Accuracy:
    low, high = wilson(value * samples, samples) if samples else (0.0, 1.0)
    return Accuracy(metric, value, samples, low, high)


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
        """The point's accuracy. A bare fraction is taken over the inputs that differ."""

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
            keys = [_key(piece) for piece in cut]
            for key, piece in zip(keys, cut, strict=True):
                if key not in lengths:
                    self._send(point, piece)
            return float(np.mean([lengths[key] for key in keys]))
        return float(np.mean(list(lengths.values()))) if lengths else 0.0

    def _predict(self, point: OperatingPoint, inputs: Arrays) -> Arrays:
        key, features, received = self._send(point, inputs)
        tail = self._bundle.tail(point.split, point.width, point.precision)
        if not all(map(np.array_equal, features, received)):
            return tail.run(received)
        if key not in self._exact:  # every lossless codec gives the tail the same
            self._exact[key] = tail.run(features)
        return self._exact[key]

    def _send(self, point: OperatingPoint, inputs: Arrays) -> tuple[bytes, Arrays, Arrays]:
        """What identifies these inputs, the features that the head makes of them, and those that arrive."""
        key = _key(inputs)
        if key not in self._features:
            self._features[key] = self._bundle.head(point.split, point.width, point.precision).run(inputs)
        features = self._features[key]
        data = b"" if point.is_local else self._bundle.encode(point, features)
        self._lengths.setdefault(point, {})[key] = len(data)
        return key, features, self._bundle.decode(data)[1] if data else features


def _key(inputs: Arrays) -> bytes:
    """What identifies these inputs."""
    digest = hashlib.blake2b()
    for array in inputs:
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
