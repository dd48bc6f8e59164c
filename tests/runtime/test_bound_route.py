"""What a frame at a bound point takes: calls and files of adaedge, counted, not timed.

Counted is what the terminal's thread calls in one ``Terminal.infer``: generators as often as they are resumed, what
dataclasses generate not. The edge server is in threads of its own; what the link calls is left out.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import adaedge
from adaedge.bundle import Bundle, PointEntry
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import EdgeServer, GrpcLink, Terminal
from adaedge.scheduling import Scheduler

ROOT = str(Path(adaedge.__file__).parent)
POINT = OperatingPoint("relu", codec="u4+zstd")
LOCAL = OperatingPoint("output")
MOST_CALLS = 202  # a frame before points were bound took 417
MOST_FILES = 36


class Uncounted:
    """A link whose own calls are not counted."""

    def __init__(self, link):
        self.link = link
        self.hello, self.probe, self.close = link.hello, link.probe, link.close

    def exchange(self, payload, timeout_s):
        counting = sys.getprofile()
        sys.setprofile(None)
        try:
            return self.link.exchange(payload, timeout_s)
        finally:
            sys.setprofile(counting)


@pytest.fixture(scope="module")
def held(bundle):
    manifest = replace(bundle.manifest, points=(*bundle.manifest.points, PointEntry(POINT, 1300)))
    return Bundle(manifest, bundle._files)


def counted(action):
    """File → its calls while the action runs, and what the action returns."""
    calls = Counter()

    def count(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(ROOT):
            calls[frame.f_code.co_filename[len(ROOT) + 1 :]] += 1

    sys.setprofile(count)
    try:
        found = action()
    finally:
        sys.setprofile(None)
    return calls, found


def test_the_tenth_frame_at_a_point_takes_half_the_calls_it_took(held, credentials):
    cost = Cost(head_s=0.001, encode_s=0.001, payload_bytes=1300, tail_s=0.001, answer_bytes=60, finish_s=0.001)
    profile = Profile({POINT: cost, LOCAL: Cost(head_s=0.05)}, held.digest, "test", "test")
    scheduler = Scheduler(profile, EnergyModel(ComputePower(3.7), presets.WIFI_2012), deadline_s=2.0)
    frames = np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8)
    with EdgeServer(held, credentials=credentials) as server:
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        with Terminal(held, scheduler, Uncounted(link)) as terminal:
            for frame in frames[:-1]:
                assert terminal.infer(frame).measurement.answered_by == "edge"
            calls, result = counted(lambda: terminal.infer(frames[-1]))
    assert (result.decision.point, result.measurement.answered_by) == (POINT, "edge")
    assert np.array_equal(result.output[0], held.run(POINT, (frames[-1:],))[0])
    assert calls.total() <= MOST_CALLS, calls
    assert len(calls) <= MOST_FILES, sorted(calls)
    looked_up = {"bundle/manifest.py", "bundle/codecs.py", "bundle/engines.py", "bundle/bundle.py"}
    assert not looked_up & calls.keys(), "a bound point is looked up again"
