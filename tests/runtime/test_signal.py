"""A terminal that hears its modem: probes are sent when the signal says that they can pay."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from adaedge.channel import LinkPrior, LinkSignal, read_signal
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import LinkDownError, ScheduleError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import ManualClock, SignalWatch, Terminal
from adaedge.scheduling import Scheduler

LOCAL, FEATURES = OperatingPoint("output"), OperatingPoint("relu", codec="u8")
SLOW_BPS, FAST_BPS = 2e4, 5e7


class Counted:
    """A link that cannot be reached, and counts who tries."""

    def __init__(self):
        self.asked = 0

    def hello(self, bundle, timeout_s):
        self.asked += 1
        raise LinkDownError("gone")

    probe = exchange = hello

    def close(self):
        pass


def tries(bundle, signal, frames=40):
    """How often a terminal that has only seen slow links reaches for the edge server."""
    costs = {
        LOCAL: Cost(head_s=0.5, finish_s=0.0),
        FEATURES: Cost(head_s=0.01, payload_bytes=5000, tail_s=0.01, answer_bytes=60, finish_s=0.4),
    }
    profile = Profile(costs, bundle.digest, "test", "test")
    prior = LinkPrior()
    for _ in range(20):
        prior = prior.seen(SLOW_BPS)
    energy = EnergyModel(ComputePower(3.7), presets.LTE_2021)
    scheduler = Scheduler(profile, energy, deadline_s=1.0, prior=prior)
    link, clock = Counted(), ManualClock()
    with Terminal(bundle, scheduler, link, clock=clock, preload=False, paced=True, signal=signal) as terminal:
        before = link.asked
        for _ in range(frames):
            terminal.infer(np.zeros((64, 64, 3), np.uint8))
            clock.sleep_until(clock.now_s() + 0.5)
    return before, link.asked - before


def test_nothing_is_probed_while_the_signal_is_too_weak_to_pay(bundle):
    assert tries(bundle, lambda: SLOW_BPS) == (0, 0)


@pytest.mark.filterwarnings("ignore:frames are answered locally")
def test_a_good_signal_is_probed_at_once(bundle):
    assert tries(bundle, lambda: FAST_BPS)[0] == 1


@pytest.mark.filterwarnings("ignore:frames are answered locally")
def test_the_signal_is_asked_once_before_the_first_frame_and_after_every_frame(bundle):
    asked = []
    tries(bundle, lambda: asked.append(1), frames=7)
    assert len(asked) == 8


def test_a_watch_reads_beside_the_frames_and_says_nothing_of_what_it_does_not_understand(tmp_path, caplog):
    path = tmp_path / "signal.json"
    path.write_text('{"cqi": 7}')
    read = threading.Semaphore(0)

    def reading():
        try:
            return read_signal(path)
        finally:
            read.release()

    def wait():
        for _ in range(2):  # of two that begin after a change, the second is known to have seen it whole
            while read.acquire(blocking=False):
                pass
            assert read.acquire(timeout=10)

    with SignalWatch(reading, bandwidth_hz=10e6, share=0.5, every_s=0.01) as watch:
        assert watch() == pytest.approx(0.5 * 10e6 * 1.4766)
        path.write_text("-95 dBm")
        wait()
        assert watch() is None
        path.write_text('{"sinr_db": 3}')
        wait()
        assert watch() == pytest.approx(5e6, rel=1e-2)
    assert len([line for line in caplog.messages if "not understood" in line]) <= 2  # not one for every reading
    assert "adaedge-signal" not in {thread.name for thread in threading.enumerate()}


def test_what_a_watch_refuses():
    with pytest.raises(ScheduleError, match="share of a signal is above 0; got 0"):
        SignalWatch(LinkSignal, bandwidth_hz=1e6, share=0)
    with pytest.raises(ScheduleError, match="a signal is JSON"):
        SignalWatch(lambda: read_signal(__file__), bandwidth_hz=1e6)
