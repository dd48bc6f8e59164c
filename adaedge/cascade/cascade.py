"""Cascade: a local operating point answers first; where it is not sure, another one does.

May import: ``errors``, ``operating_point``, ``metrics``, ``bundle``; of this part ``cascade_file``,
``risk``, ``sureness``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from adaedge.bundle import Bundle
from adaedge.cascade import cascade_file
from adaedge.cascade.risk import controlled_threshold
from adaedge.cascade.sureness import Sureness, fitted_temperature, scores_of, top_probability
from adaedge.errors import MetricError, ScheduleError
from adaedge.metrics import Metric, Score, bootstrap
from adaedge.operating_point import FULL, OUTPUT, Cost, OperatingPoint, Profile

Arrays = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A cascade's result for one frame.

    Attributes:
        answer: as `Bundle.run` returns it; ``None`` where the first was not sure and only it was asked.
        sureness: of the first answer.
        stands: whether the first answer is given; otherwise the second point answers.
    """

    answer: Arrays | None
    sureness: float
    stands: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """A cascade on frames that it was not fitted on.

    Attributes:
        share: fraction of the frames that got the first answer.
        score: of its answers against those of the full network, the mean over groups, with its 95 % interval.
        then: the same where the second point answers every frame.
        loss: how much higher the second point's score is; the 90 % interval's upper end of it is ``loss_high``.
        loss_high: see there; of the difference frame by frame, over groups.
    """

    share: float
    score: Score
    then: Score
    loss: float
    loss_high: float


@final
@dataclass(frozen=True, slots=True)
class Cascade:
    """A first local answer that is given where it is sure; a second operating point answers where it is not.

    Attributes:
        first: a local point, such as a student's.
        then: any other point, which answers where the first is not sure.
        temperature: divides the first answer's scores before their softmax.
        threshold: the least sureness at which the first answer is given; infinite where it never may be.
        floor: the least expected mean score, on frames like those that the cascade was fitted on.
        share: fraction of those frames that get the first answer.
        accuracy: their mean score.
        sureness: how sure outputs are; not saved.

    Raises:
        ScheduleError: if the first point is not local, or is the second.

    Example:
        >>> first, then = OperatingPoint("output", network="small"), OperatingPoint("output")
        >>> cascade = Cascade(first, then, 1.0, 0.8, 0.97, 0.5, 0.98)
        >>> cascade.threshold, str(cascade.point)
        (0.8, 'output/w1/fp32/raw/small?full')
    """

    first: OperatingPoint
    then: OperatingPoint
    temperature: float
    threshold: float
    floor: float
    share: float
    accuracy: float
    sureness: Sureness = top_probability

    def __post_init__(self) -> None:
        if not self.first.is_local or self.first == self.then:
            raise ScheduleError(
                f"the first point of a cascade answers at home, `{OUTPUT}`, and the second is another; got {self.first}"
                f" and {self.then}"
            )

    @classmethod
    def fit(
        cls,
        bundle: Bundle,
        samples: Sequence[Any],
        *,
        first: OperatingPoint,
        then: OperatingPoint,
        floor: float,
        metric: Metric | None = None,
        groups: Sequence[int] | None = None,
        sureness: Sureness | None = None,
    ) -> Self:
        """Calibrate on frames that were not used for training: the temperature, and the least threshold.

        Args:
            bundle: holds both points.
            samples: frames, as `Bundle.inputs_of` takes them. The more groups, the nearer the floor can be to 1: with
                n of them, a mean loss of 1 / (n + 1) is always kept in reserve.
            first: a local point.
            then: another point.
            floor: of the mean score against the full network's answers.
            metric: of an answer and the full network's; the default of the outputs without it.
            groups: which frames resemble each other, one number a frame: of a clip, the stretch of some seconds that it
                is in. Without it every frame counts by itself, which photographs may and frames of a clip may not.
            sureness: in place of `top_probability`, whose temperature is fitted; one of your own is given 1.

        Raises:
            MetricError: if there are no samples, no metric for the outputs, or no scores to be sure by.
            ScheduleError: if the first point is not local.
        """
        cls(first, then, 1.0, math.inf, floor, 0.0, 0.0)  # refuses the points before anything is run
        seen = [*_seen(bundle, samples, first, then)]
        if not seen:
            raise MetricError("no frames came to calibrate a cascade on; give some hundreds")
        metric = _metric(bundle, metric)
        own = sureness is not None
        temperature = 1.0 if own else _temperature(seen)
        sure = [(sureness or top_probability)(each.outputs, temperature) for each in seen]
        losses = np.array(
            [[1 - _score(metric, each.full, answer) for answer in (each.own, each.then)] for each in seen]
        )
        threshold = controlled_threshold(sure, losses[:, 0], losses[:, 1], 1 - floor, groups)
        stands = np.asarray(sure) >= threshold
        accuracy = 1 - float(np.where(stands, losses[:, 0], losses[:, 1]).mean())
        return cls(
            first, then, temperature, threshold, floor, float(stands.mean()), accuracy, sureness or top_probability
        )

    @property
    def point(self) -> OperatingPoint:
        """The name by which the two are chosen: the second point, its network that of the first, ``?``, and its own.

        Example:
            >>> first, then = OperatingPoint("output", network="small"), OperatingPoint("output")
            >>> str(Cascade(first, then, 1.0, 0.8, 0.97, 0.5, 0.98).point)
            'output/w1/fp32/raw/small?full'
        """
        return replace(self.then, network=f"{self.first.network}?{self.then.network}")

    def first_answer(self, bundle: Bundle, inputs: Sequence[Any]) -> Told:
        """The first answer where it is sure; a result without an answer where the second point has to be asked."""
        outputs = bundle.route(self.first).head.run(tuple(inputs))
        sure = self.sureness(outputs, self.temperature)
        stands = sure >= self.threshold
        return Told(tuple(bundle.answers.reduce(outputs)) if stands else None, sure, stands)

    def run(self, bundle: Bundle, inputs: Sequence[Any]) -> Told:
        """The answer of whichever point it is to be."""
        told = self.first_answer(bundle, inputs)
        return told if told.stands else replace(told, answer=tuple(bundle.run(self.then, inputs)))

    def cost(self, profile: Profile) -> Cost:
        """The mean cost of a frame, as a row of the table: all of the first point's, and a share of the second's."""
        return profile[self.first].followed_by(profile[self.then], 1 - self.share, self.accuracy)

    def judge(
        self,
        bundle: Bundle,
        samples: Sequence[Any],
        *,
        metric: Metric | None = None,
        groups: Sequence[int] | None = None,
    ) -> Judged:
        """Score the cascade on other frames, against the full network's answers.

        Args:
            bundle: holds both points.
            samples: frames that it was not fitted on.
            metric: as in `fit`.
            groups: as in `fit`; intervals are bootstrapped over them.

        Raises:
            MetricError: if there are no samples.
        """
        metric, found, stood = _metric(bundle, metric), [], []
        for each in _seen(bundle, samples, self.first, self.then):
            stands = self.sureness(each.outputs, self.temperature) >= self.threshold
            stood.append(stands)
            own, then = (_score(metric, each.full, answer) for answer in (each.own, each.then))
            found.append((own if stands else then, then))
        if not found:
            raise MetricError("no frames came to judge a cascade on")
        means = _means(np.array(found), groups)
        judged, alone = (Score(float(column.mean()), len(column), *bootstrap(column, _mean)) for column in means.T)
        draws = np.random.default_rng(0).integers(len(means), size=(1000, len(means)))
        differences = (means[:, 1] - means[:, 0])[draws].mean(1)
        loss = float((means[:, 1] - means[:, 0]).mean())
        return Judged(float(np.mean(stood)), judged, alone, loss, max(loss, float(np.quantile(differences, 0.95))))

    def save(self, path: str | Path) -> None:
        """Write points, temperature and threshold as JSON; raises as `stored_in`."""
        Path(path).write_bytes(cascade_file.written([self]))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            ScheduleError: if it is no such file.
        """
        (only,) = cascade_file.read(Path(path).read_bytes(), str(path), most=1)
        return cls(*only)

    def stored_in(self, bundle: Bundle) -> Bundle:
        """A bundle that holds this cascade too, beside those that it has: its digest is another one.

        Raises:
            ScheduleError: if the sureness is one of your own, which no file can hold.
        """
        kept = [one for one in type(self).of(bundle) if one.point != self.point]
        return bundle.with_file(cascade_file.NAME, cascade_file.written([*kept, self]))

    @classmethod
    def of(cls, bundle: Bundle) -> tuple[Self, ...]:
        """The cascades that a bundle holds, for a `Scheduler`.

        Raises:
            ScheduleError: if its file of them does not read.
        """
        data = bundle.file(cascade_file.NAME)
        return () if data is None else tuple(cls(*one) for one in cascade_file.read(data, cascade_file.NAME))


@dataclass(frozen=True, slots=True)
class _Seen:
    outputs: Arrays
    own: Arrays
    then: Arrays
    full: Arrays


def _seen(bundle: Bundle, samples: Sequence[Any], first: OperatingPoint, then: OperatingPoint) -> Iterator[_Seen]:
    """Each frame by way of both points and of the full network."""
    route, full = bundle.route(first), OperatingPoint(OUTPUT, network=FULL)
    for sample in samples:
        inputs = bundle.inputs_of(sample)
        outputs = tuple(route.head.run(inputs))
        wanted = tuple(bundle.run(full, inputs))
        other = wanted if then == full else tuple(bundle.run(then, inputs))
        yield _Seen(outputs, tuple(bundle.answers.reduce(outputs)), other, wanted)


def _temperature(seen: Sequence[_Seen]) -> float:
    """At which the first answers' scores fit the full network's classes; 1 where its answers do not tell a class."""
    scores = [scores_of(each.outputs) for each in seen]
    classes = []
    for found, each in zip(scores, seen, strict=True):
        wanted = next((part for part in each.full if part.shape == found.shape), None)
        if wanted is None:
            return 1.0
        classes.append(wanted.argmax(1))
    return fitted_temperature(scores, classes)


def _metric(bundle: Bundle, metric: Metric | None) -> Metric:
    return metric or bundle.answers.default_metric()


def _score(metric: Metric, expected: Arrays, given: Arrays) -> float:
    return metric.score([expected], [given]).value


def _means(rows: npt.NDArray[Any], groups: Sequence[int] | None) -> npt.NDArray[Any]:
    """The mean of each group's rows."""
    labels = np.arange(len(rows)) if groups is None else np.asarray(groups)
    return np.array([rows[labels == label].mean(0) for label in np.unique(labels)])


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean())
