"""From one edge server to another while frames are answered."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import LinkDownError, RefusedError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import EdgeServer, GrpcLink, HandoverLink, Reply, Terminal
from adaedge.scheduling import Fixed, Scheduler
from benchmarks.tiny_bundle import tiny_bundle

VIDEO, LOCAL = OperatingPoint("input", codec="h264@28"), OperatingPoint("output")


@pytest.fixture(scope="module")
def video_bundle():
    return tiny_bundle(codecs=["h264@28"])


def frames(count):
    still = np.random.default_rng(0).integers(90, 120, (64, 64, 3), dtype=np.uint8)
    for index in range(count):
        frame = still.copy()
        frame[20:30, index : index + 10] = 220
        yield frame


def opened(server, credentials):
    return GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)


def test_a_stream_is_refreshed_at_the_new_edge_server_and_no_frame_is_lost(video_bundle, credentials):
    costs = {VIDEO: Cost(0.001, payload_bytes=900, answer_bytes=150, finish_s=0.001), LOCAL: Cost(0.05)}
    scheduler = Scheduler(
        Profile(costs, video_bundle.digest, "test", "test"),
        EnergyModel(ComputePower(3.7), presets.WIFI_2012),
        deadline_s=20.0,
        policy=Fixed(VIDEO),
    )
    with EdgeServer(video_bundle, credentials=credentials) as near:
        first = EdgeServer(video_bundle, credentials=credentials)
        first.start()
        link = HandoverLink(opened(first, credentials))
        sizes = []
        with Terminal(video_bundle, scheduler, link, preload=False) as terminal:
            for index, frame in enumerate(frames(12)):
                if index == 6:
                    link.hand_over(opened(near, credentials), video_bundle.digest)
                    first.stop(0.0)
                measurement = terminal.infer(frame).measurement
                assert (measurement.answered_by, measurement.failure) == ("edge", "")
                sizes.append(measurement.payload_bytes - measurement.probe_bytes)
        assert near.session.held_bytes > 0
    # A payload that the new one does not know, and a refresh.
    assert sizes[6] > sizes[0]
    assert max(sizes[1:6] + sizes[7:]) < 0.6 * sizes[0]


def test_who_cannot_be_reached_or_has_another_bundle_changes_nothing(bundle, other_bundle, credentials, server, link):
    handed = HandoverLink(link)
    with EdgeServer(other_bundle, credentials=credentials) as other:
        wrong = opened(other, credentials)
        with pytest.raises(RefusedError, match="Copy the same bundle"):
            handed.hand_over(wrong, bundle.digest)
        wrong.close()
    gone = opened(other, credentials)
    with pytest.raises(LinkDownError, match="cannot be reached"):
        handed.hand_over(gone, bundle.digest)
    gone.close()
    assert handed.probe(100, 2.0).data == (100).to_bytes(4, "little")


class Waiting:
    """A link whose answers come when they are let."""

    def __init__(self):
        self.let, self.closed, self.asked = threading.Event(), False, 0

    def hello(self, bundle, timeout_s):
        pass

    def exchange(self, payload, timeout_s):
        self.asked += 1
        assert self.let.wait(5.0)
        assert not self.closed
        return Reply(payload)

    probe = exchange

    def close(self):
        self.closed = True


def test_the_old_link_is_closed_when_its_last_call_is_through():
    old, new = Waiting(), Waiting()
    new.let.set()
    link, answers = HandoverLink(old), []
    calls = [threading.Thread(target=lambda: answers.append(link.exchange(b"late", 5.0).data)) for _ in range(2)]
    for call in calls:
        call.start()
    while old.asked < 2:
        time.sleep(0.001)
    link.hand_over(new, "")
    assert link.exchange(b"new", 5.0).data == b"new"
    assert not old.closed
    old.let.set()
    for call in calls:
        call.join()
    assert answers == [b"late", b"late"]
    assert old.closed
    assert not new.closed
    link.close()
    assert new.closed
