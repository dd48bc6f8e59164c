import threading
import time

import pytest

from adaedge.runtime import ManualClock, MonotonicClock, SkippingClock


@pytest.mark.parametrize("make", [MonotonicClock, SkippingClock, ManualClock])
def test_a_clock_starts_at_zero_and_never_runs_back(make):
    clock = make()
    first = clock.now_s()
    assert 0 <= first < 1
    clock.sleep_until(first + 0.01)
    assert clock.now_s() >= first + 0.01
    clock.sleep_until(-5.0)
    assert clock.now_s() >= first + 0.01


def test_idle_time_is_skipped():
    clock = SkippingClock()
    start = time.monotonic()
    clock.sleep_until(1000.0)
    assert time.monotonic() - start < 1
    assert 1000 <= clock.now_s() < 1001


def test_what_takes_real_time_still_does():
    clock = SkippingClock()
    clock.sleep_until(10.0)
    before = clock.now_s()
    time.sleep(0.02)
    assert clock.now_s() - before >= 0.02


def test_nothing_is_skipped_while_a_job_runs_aside():
    clock, release, seen = SkippingClock(), threading.Event(), []

    def job():
        release.wait(5)
        seen.append(clock.now_s())

    clock.run_in_background(job)
    threading.Timer(0.1, release.set).start()
    clock.sleep_until(1000.0)  # waits for the job, then skips
    assert seen
    assert seen[0] < 10
    assert clock.now_s() >= 1000


def test_a_job_aside_that_fails_lets_go_of_the_clock(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    clock = SkippingClock()
    clock.run_in_background(lambda: 1 / 0)
    clock.sleep_until(1000.0)
    assert clock.now_s() >= 1000


def test_where_time_does_not_flow_a_job_runs_at_once():
    clock, ran = ManualClock(), []
    clock.run_in_background(lambda: ran.append(clock.now_s()))
    assert ran == [0.0]
