"""The part of a manifest about kept answers: the curve, or why there is none.

May import: ``errors``, ``operating_point``, ``metrics``, ``engine``, ``bundle``, ``stream``; of this part
``evaluation``, ``kept_curve``, ``samples``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from adaedge.builder.evaluation import Evaluate, Evaluation
from adaedge.builder.evaluation import answers as computed_answers
from adaedge.builder.kept_curve import AnsweredClip, fit_kept
from adaedge.builder.samples import SampleClip, Samples
from adaedge.bundle import Bundle, Manifest
from adaedge.engine import Arrays
from adaedge.errors import MetricError
from adaedge.metrics import LabelAccuracy, Metric
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.stream import ChangeDetector

_log = logging.getLogger(__name__)


def described(
    about: Manifest,
    bundle: Bundle,
    wanted: bool | None,
    samples: Samples,
    detector: ChangeDetector,
    evaluate: Evaluate | None,
) -> Manifest:
    """The manifest with the curve of kept answers, or why there is none.

    Args:
        about: the manifest.
        bundle: holds the full network.
        wanted: ``Space.kept``.
        samples: among which there may be clips.
        detector: measures changes.
        evaluate: what scores points: its metric, if it is one, compares answers here too.

    Raises:
        MetricError: if a curve is wanted, and cannot be fitted.
    """
    if wanted is False or not (samples.has_clips or wanted):
        return about
    try:
        if not samples.has_clips:
            raise MetricError("there are no clips among the samples: give some as `calibrate`")
        metric, answers = _answers(bundle, samples, evaluate)
        preprocessing = about.preprocessing
        window = (preprocessing.frames, preprocessing.stride) if preprocessing else (1, 1)
        curve = fit_kept(answered(samples.clips, answers, window), detector, metric)
    except MetricError as error:
        if wanted:
            raise MetricError(
                f"no answer can be kept: {error}. Leave `kept` out of the space to build without."
            ) from error
        _log.info("no answer can be kept: %s", error)
        return replace(about, not_kept=str(error))
    return replace(about, kept=curve)


def _answers(bundle: Bundle, samples: Samples, evaluate: Evaluate | None) -> tuple[Metric, Sequence[Arrays]]:
    """What compares answers, and the full network's to every frame."""
    if isinstance(evaluate, Evaluation) and not isinstance(evaluate.metric, LabelAccuracy):
        return evaluate.metric, evaluate.expected
    metric = bundle.answers.default_metric()
    local = OperatingPoint(OUTPUT)
    return metric, computed_answers(metric, lambda: partial(bundle.run, local), [(one,) for one in samples.inputs])


def answered(
    clips: Sequence[SampleClip], answers: Sequence[Arrays], window: tuple[int, int] = (1, 1)
) -> list[AnsweredClip]:
    """The clips among samples, pictures left out.

    Args:
        clips: the samples.
        answers: the answer to each of their frames, one clip after another.
        window: frames and stride of the model's.
    """
    found, begin = [], 0
    for index, clip in enumerate(clips):
        end = begin + len(clip.inputs)
        if len(clip.inputs) > 1:
            found.append(AnsweredClip(clip.kept_looks, answers[begin:end], clip.fps, index, window))
        begin = end
    return found
