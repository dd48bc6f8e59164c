"""Small runs whose numbers a reader can work out by hand."""

from types import SimpleNamespace

import pytest

from adaedge.energy import EnergySplit
from adaedge.operating_point import Decision, OperatingPoint
from adaedge.runtime.record import FrameRecord, Measurement

LOCAL = OperatingPoint("output")
OFFLOAD = OperatingPoint("input", codec="jpeg@90")
PARTIAL = OperatingPoint("blocks.3", codec="u4+zstd")


def frame(index=0, point=LOCAL, *, latency_s=0.02, energy=None, predicted_s=0.02, rate_bps=None, answer=1, **happened):
    measured = {"compute_s": 0.01, **happened}
    measurement = Measurement(latency_s, energy=energy or EnergySplit(compute_j=0.1), **measured)
    return FrameRecord(index, 0.1 * index, 0.1, Decision(point, predicted_s, 0.1, 0.96, rate_bps), measurement, answer)


def offloaded(index, point=OFFLOAD, **changes):
    energy = EnergySplit(0.02, 0.01, 0.03, 0.002, 0.004, 0.006)  # 0.072 J
    measured = {"upload_s": 0.01, "payload_bytes": 12_500, "answered_by": "edge", "rate_bps": 8e6, "energy": energy}
    return frame(index, point, **measured | changes)


@pytest.fixture
def make():
    return SimpleNamespace(frame=frame, offloaded=offloaded, LOCAL=LOCAL, OFFLOAD=OFFLOAD, PARTIAL=PARTIAL)


@pytest.fixture
def policies():
    adaptive = [frame(0), offloaded(1), offloaded(2, PARTIAL), offloaded(3, PARTIAL, failure="timeout", latency_s=0.12)]
    return {"local": [frame(index) for index in range(4)], "adaptive": adaptive}
