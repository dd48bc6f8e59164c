"""How good a kept answer is, by how much changed since: measured on clips, and a curve fitted to it.

May import: ``errors``, ``operating_point``, ``metrics``, ``engine``, ``stream``.

Clips are replayed as a stream would run them: an answer is kept until more than so much has changed, then a new one is
computed. That is done for each of two dozen amounts of change, the knots. It gives two figures a knot:

- *expected*: the score of kept answers against those that would have been computed, over all pairs of frames that the
  replays met at such a change; made monotone by pooling neighbours that are out of order (isotonic regression).
- *low*: the score that 19 of 20 stretches of ten seconds reach, computed frames included, with 95 %
  confidence: the normal tolerance limit mean − k·s of the stretches' scores (e.g. NIST/SEMATECH e-Handbook, 7.2.6.3),
  which for few stretches is far below their mean. A stretch counts once, however many frames it has, for frames that
  follow each other are alike. An accuracy floor is compared with it.

The bound is validated: fitted on every second part of the clips, it is compared with the stretches of the others, and
the other way around; by what 19 in 20 of them fall short of it, it is lowered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from adaedge.engine import Arrays
from adaedge.errors import MetricError
from adaedge.metrics import Metric
from adaedge.operating_point import REFRESH, KeptCurve, KeptKnot
from adaedge.stream import ChangeDetector
from adaedge.stream.window import share_of_new

Floats = npt.NDArray[np.float64]

STRETCH_S = 10.0
_LEAST_STRETCHES = 4
_LEAST_FRAMES = 8  # of a stretch: of clips that are shorter than some, the stretches are
_GAPS = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60)  # frames apart, over which changes are looked at to place the knots
_PAIRS = 1500  # so many changes are looked at
_KNOTS = 24
_LARGEST = 0.9  # the last knot is this quantile of the changes that were looked at
_SPREAD = 0.01  # and the first, but for the least that was seen, this fraction of the last
_SCORED = 600  # so many pairs of a knot are scored
_USABLE = 0.5  # a curve that is nowhere above it says that answers do not follow what changes
_STILL = 1e-6
_ALWAYS_MOVES = "everything changes from each frame to the next: no answer could be kept"
# One-sided tolerance factors k of so many normal values: 95 % of the distribution, with 95 % confidence.
_TOLERANCE = {2: 26.260, 3: 7.656, 4: 5.144, 5: 4.203, 6: 3.708, 7: 3.399, 8: 3.187, 9: 3.031, 10: 2.911, 12: 2.736}
_TOLERANCE |= {15: 2.566, 20: 2.396, 25: 2.292, 30: 2.220, 40: 2.125, 50: 2.065, 100: 1.927, 1000: 1.727}


@dataclass(frozen=True, slots=True, eq=False)
class AnsweredClip:
    """A clip with what a curve is fitted from.

    Attributes:
        looks: of each frame, what the detector compares.
        answers: of each frame, the full network's.
        fps: frames a second.
        index: its place among the samples.
        window: frames of the model's window and their stride; ``(1, 1)`` where it takes one.
    """

    looks: Sequence[object]
    answers: Sequence[Arrays]
    fps: float
    index: int = 0
    window: tuple[int, int] = (1, 1)

    def change(self, detector: ChangeDetector, before: int, after: int) -> float:
        """How much a frame changed since an earlier one, as a stream measures it."""
        one, other = self.looks[before], self.looks[after]
        if one is None or other is None:
            return REFRESH
        return max(detector.change(one, other), share_of_new(after - before, *self.window))

    def stretches(self) -> list[range]:
        """The clip's frames in stretches of ten seconds, or shorter ones where the clip is short."""
        whole = max(1, round(STRETCH_S * self.fps))
        length = min(whole, max(_LEAST_FRAMES, len(self.answers) // _LEAST_STRETCHES))
        count = max(1, len(self.answers) // length)
        ends = [round(at * len(self.answers) / count) for at in range(count + 1)]
        return [range(start, end) for start, end in pairwise(ends)]


def fit_kept(clips: Sequence[AnsweredClip], detector: ChangeDetector, metric: Metric) -> KeptCurve:
    """The curve of kept answers.

    Args:
        clips: with the full network's answers.
        detector: measures changes.
        metric: compares answers.

    Raises:
        MetricError: if the clips are too short, nothing in them moves, all of it always does, or the answers do not
            follow what changes.
    """
    stretches = [(clip, stretch) for clip in clips for stretch in clip.stretches()]
    frames = sum(len(clip.answers) for clip in clips)
    if len(stretches) < _LEAST_STRETCHES:
        raise MetricError(
            f"{frames} frames of clips are too few to say how good a kept answer is: give {_LEAST_STRETCHES} stretches"
            f" of {_LEAST_FRAMES} frames or more, better of {STRETCH_S:g} seconds"
        )
    changes = _knots(clips, detector)
    replays = [[_replayed(clip, detector, change) for clip in clips] for change in changes]
    scores = np.array([_stretch_scores(clips, replay, metric) for replay in replays])  # (knots, stretches)
    known = ~np.isnan(scores).any(axis=0)
    if known.sum() < _LEAST_STRETCHES:
        raise MetricError(f"{metric.name} can compare the answers of {int(known.sum())} stretches only")
    parts = np.array([part for clip in clips for part in _parts(len(clip.stretches()), clips.index(clip), len(clips))])
    low = _validated(scores[:, known], parts[known])
    expected, pairs = _expected(clips, replays, metric)
    if not any(pairs):
        raise MetricError(_ALWAYS_MOVES)
    if low[0] < _USABLE:
        raise MetricError(
            f"answers to frames that differ by {changes[0]:.2g} or less score {expected[0]:.2f} against each other,"
            f" {low[0]:.2f} at least: they do not follow what changes"
        )
    figures = zip(changes, expected, low.tolist(), pairs, strict=True)
    knots = tuple(KeptKnot(c, round(e, 5), round(b, 5), n) for c, e, b, n in figures)
    return KeptCurve(detector.name, detector.unit, metric.name, knots, tuple(clip.index for clip in clips))


def _knots(clips: Sequence[AnsweredClip], detector: ChangeDetector) -> list[float]:
    """Amounts of change, ascending, at which replays are made."""
    places = [
        (clip, at - gap, at) for clip in clips for gap in _GAPS for at in range(gap, len(clip.answers), 1 + gap // 2)
    ]
    places = places[:: max(1, -(-len(places) // _PAIRS))]
    seen = np.array([clip.change(detector, before, after) for clip, before, after in places])
    if not (seen < REFRESH).any():
        raise MetricError(_ALWAYS_MOVES)
    if seen.max() <= _STILL:
        raise MetricError("nothing ever changes in the clips: they do not say how answers follow what does")
    known = seen[seen < REFRESH]
    first, largest = float(known.min()), float(np.quantile(known, _LARGEST))
    least = max(first, largest * _SPREAD, _STILL)
    knots = {round(change, 6) for change in (first, *np.geomspace(least, max(largest, least), _KNOTS).tolist())}
    return sorted(knots)


def _replayed(clip: AnsweredClip, detector: ChangeDetector, most: float) -> list[int]:
    """Of each frame, whose answer it gets where answers are kept up to a change."""
    held, found = 0, [0]
    for at in range(1, len(clip.answers)):
        if clip.change(detector, held, at) > most:
            held = at
        found.append(held)
    return found


def _stretch_scores(clips: Sequence[AnsweredClip], replay: Sequence[Sequence[int]], metric: Metric) -> Floats:
    """The score of each stretch; NaN where it cannot be compared."""
    return np.array(
        [
            _score(metric, [clip.answers[at] for at in stretch], [clip.answers[given[at]] for at in stretch])
            for clip, given in zip(clips, replay, strict=True)
            for stretch in clip.stretches()
        ]
    )


def _score(metric: Metric, expected: Sequence[Arrays], given: Sequence[Arrays]) -> float:
    try:
        return metric.score(expected, given).value
    except MetricError:  # a class that none of the frames shows, say
        return np.nan


def _parts(stretches: int, clip: int, clips: int) -> list[int]:
    """Which of two parts each stretch of a clip is in: whole clips where there are several, else its halves."""
    return [clip % 2] * stretches if clips > 1 else [int(2 * at >= stretches) for at in range(stretches)]


def _bound(scores: Floats) -> Floats:
    """Of each knot, what 19 of 20 stretches score at least; it never rises."""
    count = scores.shape[1]
    if count < 2:
        return np.zeros(len(scores))
    factor = np.interp(count, [*_TOLERANCE], [*_TOLERANCE.values()])
    bound = scores.mean(axis=1) - factor * scores.std(axis=1, ddof=1)
    return np.minimum.accumulate(bound)


def _validated(scores: Floats, parts: npt.NDArray[np.int64]) -> Floats:
    """The bound from all stretches, lowered by what it falls short where it was not fitted."""
    short: list[Floats] = []
    for part in (0, 1):
        fitted, judged = scores[:, parts == part], scores[:, parts != part]
        if fitted.shape[1] >= 2 and judged.shape[1]:
            short.append(_bound(fitted)[:, None] - judged)
    if not short:
        return _bound(scores)
    margins = np.quantile(np.concatenate(short, axis=1), 0.95, axis=1, method="higher")
    return np.minimum.accumulate(np.clip(_bound(scores) - np.maximum(0.0, margins), 0.0, 1.0))


def _expected(
    clips: Sequence[AnsweredClip], replays: Sequence[Sequence[Sequence[int]]], metric: Metric
) -> tuple[list[float], list[int]]:
    """Of each knot, the mean score of the answers that are kept there but not at the knot before, never rising."""
    means, counts = [], []
    for at, replay in enumerate(replays):
        before = replays[at - 1] if at else None
        pairs = [
            (clip.answers[place], clip.answers[held])
            for index, clip in enumerate(clips)
            for place, held in enumerate(replay[index])
            if held != place and (before is None or before[index][place] != held)
        ]
        counts.append(len(pairs))
        some = pairs[:: max(1, -(-len(pairs) // _SCORED))]
        mean = _score(metric, [one for one, _ in some], [other for _, other in some]) if some else np.nan
        means.append(mean)
    return _falling(means, counts), counts


def _falling(means: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Weighted isotonic regression by pooling adjacent violators; what is not known is what is next to it.

    Example:
        >>> _falling([0.5, 0.75, 0.25], [1, 3, 1])
        [0.6875, 0.6875, 0.25]
    """
    pools: list[list[float]] = []  # value, weight, members
    for mean, count in zip(means, counts, strict=True):
        if np.isnan(mean):
            pools.append([pools[-1][0] if pools else 1.0, 0.0, 1])
        else:
            pools.append([mean, float(count), 1])
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            value, weight, members = pools.pop()
            last = pools[-1]
            total = last[1] + weight
            last[0] = (last[0] * last[1] + value * weight) / total if total else max(last[0], value)
            last[1], last[2] = total, last[2] + members
    return [min(1.0, value) for value, _, members in pools for _ in range(int(members))]
