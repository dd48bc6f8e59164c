"""Evaluation: answers of a point compared with those expected, by a metric.

May import: ``errors``, ``operating_point``, ``payload``, ``metrics``, ``bundle``, ``engine``; of this part
``samples``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import chain
from typing import Any, final

import numpy as np

from adaedge.arrays import Array
from adaedge.builder.samples import Samples
from adaedge.bundle import Accuracy, Bundle
from adaedge.engine import Arrays
from adaedge.errors import MetricError
from adaedge.metrics import Agreement, LabelAccuracy, LabelIoU, Metric
from adaedge.metrics.classes import best_class
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.payload.answers import LabelMap

Clip = Sequence[Arrays]
Predict = Callable[[Arrays], Arrays]
_log = logging.getLogger(__name__)
_FEW = 50  # of fewer samples the same class is no surprise
Evaluate = Callable[[Predict], Accuracy | float]


def against_full(bundle: Bundle, samples: Samples, metric: Metric | None = None) -> Evaluation | None:
    """An evaluation that compares a point's answers with those of the full network on this machine.

    Args:
        bundle: holds the full network.
        samples: pictures and clips. Without any nothing is measured.
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
            metric = bundle.answers.default_metric()
        except MetricError as error:
            warnings.warn(
                f"no accuracy is measured, so that no point is usable under a floor: {error} (`evaluate` of `build`)",
                UserWarning,
                stacklevel=5,  # the caller of `build`
            )
            return None
    local = OperatingPoint(OUTPUT)
    expected = answers(metric, lambda: partial(bundle.run, local), [(inputs,) for inputs in samples.inputs])
    if bundle.manifest.postprocessing is not None and not any((labels >= 0).any() for *_, labels in expected):
        warnings.warn(
            "no accuracy is measured, so that no point is usable under a floor: the full network finds nothing in"
            f" {len(expected)} samples with scores above {bundle.manifest.postprocessing.threshold:g}. Give frames"
            " that hold something, trained weights, or a lower threshold (`evaluate` of `build`)",
            UserWarning,
            stacklevel=5,  # the caller of `build`
        )
        return None
    _check_telling(metric, expected)
    return Evaluation(metric, [clip.inputs for clip in samples.clips], expected)


def _check_telling(metric: Metric, expected: Sequence[Arrays]) -> None:
    """Say so where agreement says nothing, because the full network gives every sample the same class."""
    if not isinstance(metric, Agreement) or len(expected) < _FEW:
        return
    classes = {int(which) for answer in expected for which in np.ravel(best_class(answer))}
    if len(classes) == 1:
        _log.warning(
            "agreement says nothing here: the full network answers class %d to all %d samples, so every point agrees."
            " Give samples of several classes, trained weights, or labels.",
            classes.pop(),
            len(expected),
        )


def top1(samples: Iterable[tuple[Arrays, Any]]) -> Evaluate:
    """Whether a point's class is the label.

    Args:
        samples: (inputs, label or labels of the batch), as ``Bundle.run`` takes the inputs: a frame goes through
            `adaedge.bundle.frames.prepare` first, which needs no bundle.

    Example:
        >>> import adaedge, torch
        >>> from adaedge.bundle import Preprocessing
        >>> from adaedge.bundle.frames import prepare
        >>> frame, geometry = np.zeros((48, 64, 3), np.uint8), Preprocessing(size=(16, 16))
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2)).eval()
        >>> net[1].bias.data[1] = 100.0  # always the second class
        >>> evaluate = top1([((prepare(frame, geometry),), 1), ((prepare(frame, geometry),), 0)])
        >>> bundle = adaedge.build(
        ...     net, (torch.rand(1, 3, 16, 16),), adaedge.Space(widths=[1]), preprocessing=geometry, evaluate=evaluate
        ... )
        >>> bundle.manifest.points[-1].accuracy.value
        0.5
    """
    listed = list(samples)
    labels = [(np.atleast_1d(label),) for _, label in listed]
    return Evaluation(LabelAccuracy(), [(inputs,) for inputs, _ in listed], labels)


def answers(metric: Metric, start: Callable[[], Predict], clips: Sequence[Clip]) -> list[Arrays]:
    """The parts of each frame's answer that the metric needs. ``start`` returns what answers a clip's frames in order.

    Several clips, or pictures, are answered at a time: engines run beside each other.
    """

    def reduced(outputs: Arrays) -> Arrays:
        # Label maps in place of their logits: those of hundreds of samples would not fit into memory.
        return LabelMap().reduce(outputs[:1]) if isinstance(metric, LabelIoU) and outputs[0].ndim == 4 else outputs

    def of(clip: Clip) -> list[Arrays]:
        predict = start()
        return [reduced(predict(inputs)) for inputs in clip]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(chain.from_iterable(pool.map(of, clips)))


@final
class Evaluation:
    """Scores a point by a metric on clips, of which a picture is the shortest.

    Args:
        metric: compares a point's answers with those expected.
        clips: of each, its frames as inputs of ``Bundle.run``, in order.
        expected: the answer to each frame, one clip after another, as `answers` gives them.

    Attributes:
        metric: the metric.
        expected: the answers.
    """

    def __init__(self, metric: Metric, clips: Sequence[Clip], expected: Sequence[Arrays]) -> None:
        self.metric, self.expected, self._clips = metric, expected, clips

    def __call__(self, predict: Predict) -> Accuracy:
        """The score of answers that depend on their own frame alone."""
        return self._score(lambda: predict, [(inputs,) for clip in self._clips for inputs in clip])

    def in_order(self, start: Callable[[], Predict]) -> Accuracy:
        """The score of answers that build upon each other: ``start`` returns what answers the frames of one clip."""
        return self._score(start, self._clips)

    def _score(self, start: Callable[[], Predict], clips: Sequence[Clip]) -> Accuracy:
        found = self.metric.score(self.expected, answers(self.metric, start, clips))
        return Accuracy(self.metric.name, found.value, found.samples, found.low, found.high)

    def on(self, chosen: Sequence[int]) -> Evaluation:
        """The same on some of the frames; those that follow each other in a clip still do."""
        clips: list[list[Arrays]] = []
        places = [(which, at) for which, clip in enumerate(self._clips) for at in range(len(clip))]
        last = (-1, 0)
        for which, at in (places[one] for one in chosen):
            if (which, at) != (last[0], last[1] + 1):
                clips.append([])
            clips[-1].append(self._clips[which][at])
            last = which, at
        return Evaluation(self.metric, clips, [self.expected[at] for at in chosen])

    @cached_property
    def digest(self) -> bytes:
        """What identifies metric, clips and expected answers."""
        frames = chain.from_iterable(self._clips)
        arrays = [array for answer in (*frames, *self.expected) for array in answer]
        lengths = [len(clip) for clip in self._clips]
        return repr((self.metric, lengths)).encode() + content_hash(arrays)


def content_hash(arrays: Iterable[Array]) -> bytes:
    """A hash that identifies these arrays."""
    digest = hashlib.blake2b()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
