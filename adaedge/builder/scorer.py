"""How good each operating point is, and how many bytes it sends, measured through its real codec.

May import: ``operating_point``, ``payload``, ``metrics``, ``bundle``, ``stream``, ``engine``; of this part
``evaluation``, ``samples``. Heads run once per sample and split point: their features are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import final

import numpy as np

from adaedge.builder.evaluation import Evaluate, Evaluation, content_hash
from adaedge.builder.samples import Samples
from adaedge.bundle import Accuracy, Bundle
from adaedge.bundle.batches import join, pieces
from adaedge.engine import Arrays, Engine
from adaedge.metrics import wilson
from adaedge.operating_point import OperatingPoint
from adaedge.stream import CachedHead, Playback, Runners
from adaedge.stream.change import by_change


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
        self.bundle = bundle
        self.runners = Runners(bundle)
        self._features: dict[bytes, Arrays] = {}
        self._exact: dict[bytes, Arrays] = {}
        self._lengths: dict[OperatingPoint, dict[bytes, int]] = {}

    def accuracy(self, point: OperatingPoint, evaluate: Evaluate) -> Accuracy:
        """The point's accuracy. A bare fraction is taken over the inputs that differ.

        Raises:
            BundleError: if it is no fraction.
        """
        if (point.incremental or self.bundle.codecs.is_stateful(point)) and isinstance(evaluate, Evaluation):
            player = _HeadPlayer if point.is_local else _Player
            return evaluate.in_order(lambda: player(self, point).answer)

        def predict(inputs: Arrays) -> Arrays:
            return join([self._predict(point, piece) for piece in pieces(inputs, self.bundle.manifest)])

        found = evaluate(predict)
        if isinstance(found, Accuracy):
            return found
        return _accuracy("accuracy", float(found), len(self._lengths.get(point, ())))

    def payload_bytes(self, point: OperatingPoint, inputs: Sequence[Arrays] = ()) -> float:
        """Mean length of these inputs' payloads, header included; without any, of those that `accuracy` sent.

        Each stands by itself: of a codec with a state they are refreshes.
        """
        lengths = self._lengths.setdefault(point, {})
        if inputs:
            cut = [piece for sample in inputs for piece in pieces(sample, self.bundle.manifest)]
            keys = [content_hash(piece) for piece in cut]
            for key, piece in zip(keys, cut, strict=True):
                if key not in lengths:
                    self._send(point, piece)
            return float(np.mean([lengths[key] for key in keys]))
        return float(np.mean(list(lengths.values()))) if lengths else 0.0

    def bytes_by_change(self, point: OperatingPoint, samples: Samples) -> tuple[float, ...]:
        """Mean payload of a codec with a state at each of the samples' amounts of change, header included.

        Every clip is played at several strides. The last amount is 1: the payloads that refresh.
        """
        sent = [
            (change, player.send(inputs))
            for clip in samples.clips
            for play in clip.plays()
            for player in (_Player(self, point),)
            for inputs, change in play
        ]
        return by_change(sent, samples.changes)

    def sent(self, point: OperatingPoint, inputs: Arrays, data: bytes) -> None:
        """Count a payload that stands by itself."""
        self._lengths.setdefault(point, {})[content_hash(inputs)] = len(data)

    def features(self, point: OperatingPoint, inputs: Arrays) -> Arrays:
        """What the head makes of inputs; kept."""
        key = content_hash(inputs)
        if key not in self._features:
            self._features[key] = self.bundle.head(point.split, point.level).run(inputs)
        return self._features[key]

    def _predict(self, point: OperatingPoint, inputs: Arrays) -> Arrays:
        key, features, engine, received = self._send(point, inputs)
        if not all(map(np.array_equal, features, received)):
            return self.bundle.answers.reduce(engine.run(received))
        if key not in self._exact:  # every lossless codec gives the tail the same
            self._exact[key] = self.bundle.answers.reduce(engine.run(features))
        return self._exact[key]

    def _send(self, point: OperatingPoint, inputs: Arrays) -> tuple[bytes, Arrays, Engine, Arrays]:
        """What identifies these inputs, the features that the head makes of them, what finishes, and from what."""
        key, features = content_hash(inputs), self.features(point, inputs)
        data = b"" if point.is_local else self.bundle.encode(point, features)
        self._lengths.setdefault(point, {})[key] = len(data)
        if not data:
            return key, features, self.bundle.tail(point.split, point.level), features
        engine, received, _ = self.bundle.receive(self.bundle.read(data))
        return key, features, engine, received


@final
class _HeadPlayer:
    """Runs the frames of one clip through an incremental head in order."""

    def __init__(self, scorer: Scorer, point: OperatingPoint) -> None:
        self._bundle, self._route = scorer.bundle, scorer.bundle.route(point)
        self._cached = CachedHead(scorer.bundle, scorer.runners)

    def answer(self, inputs: Arrays) -> Arrays:
        """The answer to the next frame."""
        found = [self._cached.run(self._route, piece, None, 0) for piece in pieces(inputs, self._bundle.manifest)]
        return join([self._bundle.answers.reduce(outputs) for outputs in found])


@final
class _Player:
    """Sends the frames of one clip in order, from features that are kept; an incremental head makes them in order."""

    def __init__(self, scorer: Scorer, point: OperatingPoint) -> None:
        self._scorer, self._point = scorer, point
        self._playback = Playback(scorer.bundle, point, scorer.runners)
        self._cached = CachedHead(scorer.bundle, scorer.runners) if point.incremental else None

    def send(self, inputs: Arrays) -> int:
        """How many bytes the next frame's payload has."""
        return sum(len(data) for data in self._payloads(inputs))

    def answer(self, inputs: Arrays) -> Arrays:
        """The answer to the next frame."""
        received = (self._playback.receive(data) for data in self._payloads(inputs))
        reduce = self._scorer.bundle.answers.reduce
        return join([reduce(engine.run(carried)) for engine, carried in received])

    def _features(self, piece: Arrays) -> Arrays:
        if self._cached is None:
            return self._scorer.features(self._point, piece)
        return self._cached.run(self._scorer.bundle.route(self._point), piece, None, 0)

    def _payloads(self, inputs: Arrays) -> Iterator[bytes]:
        for piece in pieces(inputs, self._scorer.bundle.manifest):
            refreshes = not self._playback.builds
            data = self._playback.encode(self._features(piece))
            if refreshes:
                self._scorer.sent(self._point, piece, data)
            yield data
