"""The runtime and the simulation charge one trace alike, an outage included.

Known difference: the simulation knows no handshake. Of what timed out both charge the bytes that crossed: a replayed
link knows them.
"""

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.channel import HarmonicMean, Trace
from adaedge.energy import ComputePower, EnergyModel, EnergySplit, RadioPower
from adaedge.errors import LinkTimeoutError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import EdgeSession, ManualClock, ReplayLink, Reply, Terminal, run
from adaedge.runtime.link_monitor import LinkMonitor
from adaedge.scheduling import PROBE_BYTES, Exchange, Failure, LinkState, ProbePlan, Purpose, Scheduler
from adaedge.simulation import ClipChanges, simulate
from adaedge.simulation.observer import LinkObserver
from adaedge.stream import BlockChange, Playback

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks.tiny_bundle import tiny_bundle

FEATURES = OperatingPoint("relu", codec="u8")
LOCAL = OperatingPoint("output")
# Without a promotion: a ReplayLink does not wake up.
RADIO = RadioPower("hand", uplink_w_per_bps=2e-8, uplink_w=2.0, downlink_w=1.0, tail_s=1.0, tail_w=0.5)
ENERGY = EnergyModel(ComputePower(busy_w=4.0, wait_w=1.0), RADIO)
ROUND_TRIP_S, PERIOD_S, FRAMES = 0.02, 0.2, 150
TRACE = Trace((0.0, 8.0, 16.0), (4e6, 0.0, 4e6), 1000.0)


@pytest.fixture
def costs(bundle, frame):
    features = bundle.head("relu").run((frame[None],))
    payload = bundle.encode(FEATURES, features, sequence=1)
    answered = EdgeSession(bundle).answer(payload)
    offload = Cost(0.005, 0.001, payload_bytes=len(payload), answer_bytes=len(answered), finish_s=0.05)
    return Profile({FEATURES: offload, LOCAL: Cost(head_s=0.1)}, bundle.digest, "hand", "hand")


def scheduler(costs):
    return Scheduler(costs, ENERGY, deadline_s=0.18, period_s=PERIOD_S, downlink_bps=1e9)


def joules(records):
    parts = [record.measurement.energy for record in records]
    return sum(parts, EnergySplit())


def test_the_joules_of_a_replayed_run_are_those_of_its_simulation(bundle, costs, frame):
    clock = ManualClock()
    link = ReplayLink(TRACE, EdgeSession(bundle).answer, clock, round_trip_s=ROUND_TRIP_S)
    terminal = Terminal(bundle, scheduler(costs), link, clock=clock, preload=False, paced=True)
    with terminal:
        records = list(run(terminal, [frame] * FRAMES))
        records[-1] = records[-1].plus(terminal.close())
    simulated = simulate(
        costs, ENERGY, TRACE, scheduler(costs), frames=FRAMES, period_s=PERIOD_S, round_trip_s=ROUND_TRIP_S
    )
    assert any(record.measurement.failure for record in simulated), "the outage is felt"
    edge = [[record.measurement.answered_by for record in one].count("edge") for one in (records, simulated)]
    assert edge[0] == edge[1]
    ran, expected = joules(records), joules(simulated)
    lost = [
        [record.measurement.payload_bytes for record in one if record.measurement.failure]
        for one in (records, simulated)
    ]
    assert lost[0] == pytest.approx(lost[1], abs=2)
    assert min(lost[0]) < costs[FEATURES].payload_bytes, "not all of it crossed"
    assert ran.total_j == pytest.approx(expected.total_j, rel=0.01)
    for cause in fields(EnergySplit):
        assert getattr(ran, cause.name) == pytest.approx(getattr(expected, cause.name), rel=0.02), cause.name


VIDEO = OperatingPoint("input", codec="h264@20")
CUT = 20  # the frame that shows another scene; the outage comes after it


@pytest.fixture(scope="module")
def scenes():
    """Frames that stand still, before and after a cut."""
    draw = np.random.default_rng(1)
    before, after = (draw.integers(60, 190, (64, 64, 3), dtype=np.uint8) for _ in range(2))
    return [before if index < CUT else after for index in range(FRAMES)]


@pytest.fixture(scope="module")
def filming():
    return tiny_bundle(codecs=["h264@20"])


@pytest.fixture(scope="module")
def video_costs(filming, scenes):
    """What the video sends as a refresh, at the cut, and of a frame that stands still."""
    looks = [BlockChange().look(frame) for frame in scenes]
    playback, answer = Playback(filming, VIDEO), EdgeSession(filming).answer
    sizes, answers = [], []
    for frame in scenes[: 2 * CUT]:
        payload = playback.encode(filming.head("input").run((frame[None],)))
        playback.receive(payload)
        sizes.append(len(payload))
        answers.append(len(answer(payload)))

    def cost(size, encode_s=0.001):
        return Cost(0.002, encode_s, payload_bytes=size, answer_bytes=answers[0], finish_s=0.05)

    changes = (0.0, BlockChange().change(looks[CUT - 1], looks[CUT]), 1.0)
    still = float(np.mean(sizes[1:CUT] + sizes[CUT + 1 :]))
    costs = {VIDEO: cost(sizes[0], encode_s=0.005), LOCAL: Cost(head_s=0.1)}
    return Profile(costs, filming.digest, "hand", "hand", changes, {VIDEO: (cost(still), cost(sizes[CUT]))})


def test_a_video_takes_the_joules_and_the_points_of_its_simulation(filming, video_costs, scenes):
    """Frames that stand still, a cut, an outage, and the refresh after it."""
    clock = ManualClock()
    link = ReplayLink(TRACE, EdgeSession(filming).answer, clock, round_trip_s=ROUND_TRIP_S)
    terminal = Terminal(filming, scheduler(video_costs), link, clock=clock, preload=False, paced=True)
    with terminal:
        records = list(run(terminal, scenes))
        records[-1] = records[-1].plus(terminal.close())
    told = {"frames": FRAMES, "period_s": PERIOD_S, "round_trip_s": ROUND_TRIP_S}
    changes = ClipChanges.of_clip(scenes)
    simulated = simulate(video_costs, ENERGY, TRACE, scheduler(video_costs), changes=changes, **told)
    assert [record.decision.point for record in records] == [record.decision.point for record in simulated]
    assert [record.decision.change for record in records] == [record.decision.change for record in simulated]
    assert [record.measurement.failure for record in records] == [record.measurement.failure for record in simulated]
    refreshes = [
        record.index for record in simulated if not record.decision.point.is_local and record.decision.change == 1.0
    ]
    assert refreshes[0] == 0
    assert refreshes[-1] > 80, "after the outage"
    assert [r.index for r in simulated if 0 < r.decision.change < 1] == [CUT]
    for index in (0, CUT, refreshes[-1]):
        ran, expected = records[index].measurement, simulated[index].measurement
        # The last refresh shows the other scene, whose picture takes a few bytes more or fewer.
        assert ran.payload_bytes - ran.probe_bytes == pytest.approx(expected.payload_bytes, rel=0.01)
    computed_s = [record.measurement.compute_s for record in simulated]
    assert [record.measurement.compute_s for record in records] == pytest.approx(computed_s), "each by its own change"
    assert joules(records).total_j == pytest.approx(joules(simulated).total_j, rel=0.01)


class Scripted:
    """A link on which hellos and empty messages take no time, and a probe ends as it is told to."""

    def __init__(self, clock):
        self.clock = clock
        self.lasted_s, self.late = 0.0, False

    def hello(self, bundle, timeout_s):
        pass

    def probe(self, size_bytes, timeout_s):
        if size_bytes:
            self.clock.sleep_until(self.clock.now_s() + self.lasted_s)
            if self.late:
                raise LinkTimeoutError("late")
        return Reply(b"", self.lasted_s if size_bytes else 0.0)


# (seconds before it, seconds that it takes, whether it times out, bytes; without any a probe where the plan wants one)
EVENTS = st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 0.5), st.booleans(), st.sampled_from([0, 100, 80_000]))


@given(st.lists(EVENTS, max_size=30))
def test_runtime_and_simulation_decide_alike_from_the_same_events(events):
    clock, plan = ManualClock(), ProbePlan()
    link = Scripted(clock)
    monitor = LinkMonitor(link, "", HarmonicMean(), clock, plan, 2.0)
    observer = LinkObserver(HarmonicMean(), LinkState(plan))
    for before_s, lasted_s, late, size_bytes in events:
        start_s = clock.now_s() + before_s
        clock.sleep_until(start_s)
        assert observer.wants_probe(start_s) == monitor.due()
        failure = Failure.TIMEOUT if late else None
        if size_bytes:
            clock.sleep_until(start_s + lasted_s)
            if late:
                monitor.failed(LinkTimeoutError("late"), start_s, clock.now_s(), size_bytes, 0.01)
            else:
                monitor.crossed(start_s, clock.now_s(), size_bytes, 0.01, None)
            observer.exchanged(Exchange(start_s, clock.now_s(), size_bytes, failure=failure, edge_s=0.01))
        elif monitor.due():
            link.lasted_s, link.late = lasted_s, late
            monitor.refresh()
            observer.probed(Exchange(start_s, clock.now_s(), PROBE_BYTES, Purpose.PROBE, failure, upload_s=lasted_s))
        assert observer.estimate(clock.now_s()) == monitor.estimate(clock.now_s())
