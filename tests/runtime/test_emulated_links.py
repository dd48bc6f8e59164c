import threading
import time

import numpy as np
import pytest

from adaedge.channel import Trace
from adaedge.errors import LinkTimeoutError, RefusedError
from adaedge.operating_point import OperatingPoint
from adaedge.runtime import EdgeSession, ManualClock, MonotonicClock, ReplayLink, Reply, ShapedLink, SkippingClock

STEADY = Trace((0.0, 100.0), (1e6, 1e6))


class Echo:
    """A link that answers at once."""

    def __init__(self):
        self.closed = False

    def hello(self, bundle, timeout_s):
        pass

    def exchange(self, payload, timeout_s):
        return Reply(payload)

    def probe(self, size_bytes, timeout_s):
        return Reply(b"")

    def close(self):
        self.closed = True


def test_bytes_are_held_back_for_as_long_as_the_trace_says():
    link = ShapedLink(Echo(), STEADY, MonotonicClock())
    start = time.perf_counter()
    reply = link.exchange(bytes(12_500), 1.0)  # 0.1 s at 1 Mbit/s
    assert 0.1 <= time.perf_counter() - start < 0.3
    assert reply.data == bytes(12_500)
    assert 0.1 <= reply.upload_s < 0.3


def test_where_in_the_trace_we_are_is_the_clocks_business():
    fading = Trace((0.0, 10.0, 1000.0), (1e6, 1e8, 1e8))
    clock = SkippingClock()
    link = ShapedLink(Echo(), fading, clock)
    clock.sleep_until(20.0)
    assert link.exchange(bytes(12_500), 1.0).upload_s < 0.05


def test_what_does_not_cross_in_time_is_given_up_in_time():
    link = ShapedLink(Echo(), STEADY, MonotonicClock())
    start = time.perf_counter()
    with pytest.raises(LinkTimeoutError, match=r"125000 bytes did not cross the link within 0.050 s") as late:
        link.exchange(bytes(125_000), 0.05)
    assert late.value.sent_bytes == pytest.approx(6_250, abs=100), "50 ms at 1 Mbit/s"
    assert 0.05 <= time.perf_counter() - start < 0.25


def test_uploads_share_the_link():
    link = ShapedLink(Echo(), STEADY, MonotonicClock())
    took = []
    threads = [
        threading.Thread(target=lambda: took.append(link.exchange(bytes(6_250), 5.0).upload_s)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(took) >= 0.12  # the last waited for the two before it, less the time that starting it took


def test_an_upload_that_waits_in_vain_is_given_up():
    link = ShapedLink(Echo(), STEADY, MonotonicClock())
    first = threading.Thread(target=link.exchange, args=(bytes(25_000), 1.0))
    first.start()
    time.sleep(0.05)
    with pytest.raises(LinkTimeoutError, match="waited for the link in vain") as late:
        link.probe(1000, 0.05)
    assert late.value.sent_bytes == 0
    first.join()


def test_waiting_for_the_link_counts_against_the_timeout():
    link = ShapedLink(Echo(), STEADY, MonotonicClock())
    first = threading.Thread(target=link.exchange, args=(bytes(25_000), 1.0))  # 0.2 s
    first.start()
    time.sleep(0.05)
    with pytest.raises(LinkTimeoutError, match="did not cross the link within"):
        link.exchange(bytes(25_000), 0.3)
    first.join()


def test_an_outage_holds_back_a_hello_too():
    link = ShapedLink(Echo(), Trace((0.0, 100.0), (0.0, 1e6)), MonotonicClock())
    with pytest.raises(LinkTimeoutError):
        link.hello("ab" * 32, 0.05)
    assert link.probe(0, 0.05).upload_s < 0.05  # an empty message is no bytes


def test_closing_closes_what_is_underneath():
    echo = Echo()
    ShapedLink(echo, STEADY, MonotonicClock()).close()
    assert echo.closed


def test_a_replay_moves_the_clock_and_nobody_sleeps(bundle, frame):
    clock = ManualClock()
    link = ReplayLink(STEADY, EdgeSession(bundle).answer, clock, round_trip_s=0.02)
    payload = bundle.encode(OperatingPoint("input"), (frame[None],))
    start = time.perf_counter()
    reply = link.exchange(payload, 10.0)
    assert time.perf_counter() - start < 1
    assert reply.upload_s == pytest.approx(8 * len(payload) / 1e6)
    assert clock.now_s() == pytest.approx(reply.upload_s + 0.02)
    _, outputs = bundle.decode_answer(reply.data, bundle.read(payload).request)
    assert np.array_equal(outputs[0], bundle.run(OperatingPoint("input"), (frame[None],))[0])


def test_a_replay_gives_up_at_the_timeout():
    clock = ManualClock()
    link = ReplayLink(STEADY, lambda payload: payload, clock)
    with pytest.raises(LinkTimeoutError):
        link.exchange(bytes(125_000), 0.25)
    assert clock.now_s() == 0.25


def test_a_replayed_server_refuses_as_a_real_one(bundle):
    link = ReplayLink(STEADY, EdgeSession(bundle).answer)
    with pytest.raises(RefusedError, match="the edge server refused: foreign payload"):
        link.exchange(b"garbage that is long enough to be looked at", 1.0)
