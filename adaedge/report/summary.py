"""PolicySummary: the records of one run, in the few numbers that policies are compared by.

May import: ``errors``, ``operating_point``, ``energy``, ``runtime.record``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np

from adaedge.energy import EnergySplit
from adaedge.errors import SourceError
from adaedge.operating_point import OperatingPoint
from adaedge.runtime.record import FrameRecord


@dataclass(frozen=True, slots=True)
class PointUse:
    """An operating point, and the number of frames for which it was chosen."""

    point: OperatingPoint
    frames: int


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """The result of one policy over one run.

    Attributes:
        frames: number of frames.
        energy_j_per_frame: mean modelled joules of the terminal per frame, above idle; failures included.
        latency_p50_s: median seconds from a frame to its answer.
        latency_p95_s: 95th percentile of the same.
        deadline_miss_fraction: fraction of frames answered after their deadline.
        bytes_per_frame: mean bytes sent per frame, headers and probes included.
        agreement: fraction of frames whose answer equals the reference's; ``None`` without a reference.
        points_used: the points chosen, the most frequent first.
        switches: how often a frame's point differed from the frame's before.
        energy: mean joules per frame by cause.
        failures: kind of failed offload → number of frames.
        latency_error: median error of the predicted latency, as a fraction of the measured one.
        rate_error: the same for the link rate, over the uploads that crossed; ``None`` where there were none.
        earlier_answers: frames for which nothing was sent, because the answer to an earlier one stands.
        score: how good the answers were by a metric, in [0, 1]; ``None`` where they were not judged.
        metric: its name; empty where they were not.
    """

    frames: int
    energy_j_per_frame: float
    latency_p50_s: float
    latency_p95_s: float
    deadline_miss_fraction: float
    bytes_per_frame: float
    agreement: float | None
    points_used: tuple[PointUse, ...]
    switches: int
    energy: EnergySplit
    failures: Mapping[str, int] = field(default_factory=dict)
    latency_error: float = 0.0
    rate_error: float | None = None
    earlier_answers: int = 0
    score: float | None = None
    metric: str = ""

    def as_dict(self) -> dict[str, Any]:
        """What ``summary.json`` holds of a policy. Keys are added, never renamed."""
        return {
            "energy_j_per_frame": self.energy_j_per_frame,
            "latency_p50_s": self.latency_p50_s,
            "latency_p95_s": self.latency_p95_s,
            "deadline_miss_fraction": self.deadline_miss_fraction,
            "bytes_per_frame": self.bytes_per_frame,
            "agreement": self.agreement,
            "points_used": [{"point": str(use.point), "frames": use.frames} for use in self.points_used],
            "switches": self.switches,
            "earlier_answers": self.earlier_answers,
            "score": self.score,
            "metric": self.metric,
        }


def summarize(
    records: Iterable[FrameRecord],
    reference_answers: Sequence[int | None] | None = None,
    judged: tuple[str, float] | None = None,
) -> PolicySummary:
    """Sum up the records of one run.

    Args:
        records: the frames of the run, in order.
        reference_answers: what the reference answered to frame 0, 1, …; frames for which it is ``None`` are left out.
        judged: a metric, and the score of the answers by it.

    Raises:
        SourceError: if there are no records, or fewer reference answers than frames.

    Example:
        >>> from adaedge.operating_point import Decision
        >>> from adaedge.runtime.record import Measurement
        >>> local = Decision(OperatingPoint("output"), latency_s=0.01, energy_j=0.04)
        >>> happened = Measurement(latency_s=0.02, compute_s=0.02, energy=EnergySplit(compute_j=0.05))
        >>> summary = summarize([FrameRecord(0, 0.0, 0.1, local, happened, answer=7)], reference_answers=[7])
        >>> summary.energy_j_per_frame, summary.agreement, summary.latency_error
        (0.05, 1.0, 0.5)
    """
    frames = list(records)
    if not frames:
        raise SourceError("there are no records of frames to report on. Write some with `adaedge run … --record FILE`.")
    latency_s = np.array([frame.measurement.latency_s for frame in frames])
    points = [frame.decision.point for frame in frames]
    energy = mean_energy(frames)
    return PolicySummary(
        frames=len(frames),
        energy_j_per_frame=energy.total_j,
        latency_p50_s=float(np.percentile(latency_s, 50)),
        latency_p95_s=float(np.percentile(latency_s, 95)),
        deadline_miss_fraction=sum(frame.missed for frame in frames) / len(frames),
        bytes_per_frame=sum(frame.measurement.payload_bytes for frame in frames) / len(frames),
        agreement=_agreement(frames, reference_answers),
        points_used=tuple(PointUse(point, count) for point, count in Counter(points).most_common()),
        switches=sum(before != after for before, after in pairwise(points)),
        energy=energy,
        failures=dict(
            Counter(frame.measurement.failure for frame in frames if frame.measurement.failure).most_common()
        ),
        latency_error=_error([(frame.decision.latency_s, frame.measurement.latency_s) for frame in frames]) or 0.0,
        rate_error=_error([pair for frame in frames if (pair := rates(frame)) is not None]),
        earlier_answers=sum(frame.measurement.answered_by == "earlier" for frame in frames),
        metric=judged[0] if judged else "",
        score=judged[1] if judged else None,
    )


def rates(frame: FrameRecord) -> tuple[float, float] | None:
    """Assumed and achieved rate of a frame's upload in bit/s; ``None`` where none crossed or nothing was assumed."""
    happened, assumed = frame.measurement, frame.decision.rate_bps
    if assumed is None or happened.failure or frame.decision.point.is_local or happened.upload_s <= 0:
        return None
    return assumed, 8 * (happened.payload_bytes - happened.probe_bytes) / happened.upload_s


def mean_energy(frames: Sequence[FrameRecord]) -> EnergySplit:
    """Mean joules per frame by cause."""
    causes = (field.name for field in fields(EnergySplit))
    return EnergySplit(
        **{
            name: math.fsum(getattr(frame.measurement.energy, name) for frame in frames) / len(frames)
            for name in causes
        }
    )


def _agreement(frames: Sequence[FrameRecord], reference: Sequence[int | None] | None) -> float | None:
    if reference is None:
        return None
    newest = max(frame.index for frame in frames)
    if newest >= len(reference):
        raise SourceError(
            f"the reference answered {len(reference)} frames, the records go to frame {newest}. Run the reference on"
            " the same frames."
        )
    pairs = [(frame.answer, reference[frame.index]) for frame in frames if reference[frame.index] is not None]
    return sum(answer == expected for answer, expected in pairs) / len(pairs) if pairs else None


def _error(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Median of |predicted − measured| / measured."""
    errors = [abs(predicted - measured) / measured for predicted, measured in pairs if measured > 0]
    return float(np.median(errors)) if errors else None
