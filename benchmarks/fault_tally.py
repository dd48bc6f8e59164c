"""What happened to frames while a fault was injected: for ``benchmarks.faults`` and ``benchmarks.stream_faults``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from adaedge.runtime import Measurement

_OF_LATE_FRAMES = ("compute_s", "upload_s", "wait_s", "answered_by", "failure")


@dataclass
class Tally:
    """What happened under one kind of fault, whatever the benchmark looks at beside."""

    injected: int = 0
    frames: int = 0
    failed_offloads: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    wrong_answers: int = 0
    late: list[dict[str, Any]] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)

    def answered(self, done: Measurement, latency_s: float, allowed_s: float) -> None:
        """Take note of an answer that took ``latency_s``; it is late after ``allowed_s``."""
        self.failed_offloads.update([done.failure] if done.failure else [])
        self.latency_s.append(latency_s)
        if latency_s > allowed_s:
            self.late.append({"latency_s": latency_s} | {name: getattr(done, name) for name in _OF_LATE_FRAMES})

    def counts(self, kind: str) -> dict[str, Any]:
        """With what the row of every kind begins."""
        return {
            "fault": kind,
            "injected": self.injected,
            "frames": self.frames,
            "failed_offloads": dict(self.failed_offloads),
        }
