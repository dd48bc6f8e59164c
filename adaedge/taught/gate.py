"""Whether a network that is taught may answer: by how it did on the last labelled frames, before it learned them.

May import: ``errors``, ``metrics``.
"""

from __future__ import annotations

from collections import deque
from typing import final

from adaedge.errors import MetricError, ScheduleError
from adaedge.metrics import Metric
from adaedge.metrics.score import Answer


@final
class Gate:
    """Open while the last labelled frames, each judged before it was taught, score the floor together.

    Each label tests before it teaches (Gama et al., 'On evaluating stream learning algorithms', Machine Learning 90,
    2013: prequential evaluation), so no label is spent on the test alone, and the score is of frames never learned.

    Args:
        metric: compares the full network's answer with the student's.
        floor: what they must score together.
        window: how many of the last labelled frames count.

    Raises:
        ScheduleError: if the window holds no frame, or the floor cannot be reached.

    Example:
        >>> import numpy as np
        >>> from adaedge.metrics import Agreement
        >>> gate = Gate(Agreement(), floor=0.6, window=2)
        >>> right, wrong = (np.array([[1.0, 0.0]]),), (np.array([[0.0, 1.0]]),)
        >>> gate.is_open, gate.saw(right, right), gate.is_open, gate.saw(right, wrong), gate.score
        (False, None, True, None, 0.5)
        >>> gate.is_open
        False
    """

    def __init__(self, metric: Metric, floor: float, window: int = 6) -> None:
        if window < 1 or not 0 <= floor <= 1:
            raise ScheduleError(f"a gate has a floor in [0, 1] and a window of a frame or more; got {floor}, {window}")
        self.metric, self.floor = metric, floor
        self._seen: deque[tuple[Answer, Answer]] = deque(maxlen=window)

    def saw(self, expected: Answer, given: Answer) -> None:
        """A labelled frame: what the full network answers, and what the student answered before it learned that."""
        self._seen.append((expected, given))

    @property
    def score(self) -> float | None:
        """The score of the last labelled frames together; ``None`` before the first.

        Where none of the classes that count occurs in any of them, expected or given, the answers agree in full: 1.
        """
        if not self._seen:
            return None
        try:
            return self.metric.score(*map(list, zip(*self._seen, strict=True))).value
        except MetricError:
            return 1.0

    @property
    def is_open(self) -> bool:
        """Whether the network may answer the next frame."""
        score = self.score
        return score is not None and score >= self.floor
