"""Incremental heads before a split: what crosses is what a dense head's would be, and both states are told apart."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge.bundle import Preprocessing
from adaedge.channel import RateEstimate, Trace
from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import EdgeSession, ManualClock, ReplayLink, Terminal
from adaedge.scheduling import Fixed, Scheduler
from adaedge.simulation import simulate
from adaedge.stream import Playback, Runners, Stream
from adaedge.stream.incremental import Costs

sys.path.insert(0, str(Path(__file__).parent))
from moving_square import SIZE, clip

LOCAL = OperatingPoint("output")
ENERGY = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 12, 3, 2, 1), nn.Conv2d(12, 4, 3, 1, 1))
    space = adaedge.Space(splits=["2"], codecs=["raw", "delta"], incremental=(False, True), kept=False)
    geometry = Preprocessing(size=SIZE, crop=1.0)
    example = (torch.zeros(1, 3, *SIZE),)
    return adaedge.build(net.eval(), example, space, calibrate=[[*clip(20)]], preprocessing=geometry)


@pytest.fixture(scope="module")
def runners(bundle):
    """By whose costs parts are worth it even of so small a network."""
    found = Runners(bundle)
    for point in bundle.points:
        if point.incremental:
            runner = found.of(bundle.route(point))
            runner.costs = Costs.estimated(runner.plan, call=1.0)
    return found


@pytest.fixture(scope="module")
def deltas(bundle):
    """The best rate, dense and incremental."""
    dense = [point for point in bundle.points if point.codec.startswith("delta@") and not point.incremental][-1]
    return dense, replace(dense, incremental=True)


def terminal_of(bundle, point, session, runners):
    profile = Profile({LOCAL: Cost(head_s=0.5), point: Cost(head_s=0.001)}, bundle.digest, "test", "test")
    scheduler = Scheduler(profile, ENERGY, deadline_s=5.0, policy=Fixed(point))
    clock = ManualClock()
    link = ReplayLink(Trace((0.0, 1e6), (1e7, 1e7)), session.answer, clock)
    terminal = Terminal(bundle, scheduler, link, clock=clock, preload=False)
    terminal._stream = Stream(bundle, runners=runners)
    return terminal


def test_every_head_has_an_incremental_form_and_it_is_as_good(bundle, deltas):
    entries = {entry.point: entry for entry in bundle.manifest.points}
    assert {point.split for point in entries if point.incremental} == {"2", "output"}
    dense, incremental = (entries[point] for point in deltas)
    assert incremental.accuracy.value == pytest.approx(dense.accuracy.value, abs=0.002)
    assert incremental.next_bytes == pytest.approx(dense.next_bytes, rel=0.02)
    raw = replace(LOCAL, split="2", incremental=True)
    assert entries[raw].accuracy.value == 1.0


def test_what_an_edge_server_answers_is_that_of_a_dense_head(bundle, deltas, runners):
    dense, point = deltas
    playback = Playback(bundle, dense)
    with terminal_of(bundle, point, EdgeSession(bundle), runners) as terminal:
        for at, frame in enumerate(clip(8, seed=1)):
            result = terminal.infer(frame)
            assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
            assert result.measurement.computed_by == ("incremental" if at else "refresh")
            features = bundle.head("2").run(bundle.inputs_of(frame))
            engine, carried = playback.receive(playback.encode(features))
            (expected,) = bundle.answers.reduce(engine.run(carried))
            assert np.abs(result.answer[0] - expected).max() <= 1e-3 * np.abs(expected).max()


def test_a_lost_answer_makes_the_payload_a_refresh_though_the_head_is_held(bundle, deltas, runners):
    _, point = deltas
    frames, stream, route = [*clip(3)], Stream(bundle, runners=runners), bundle.route(deltas[1])
    for frame in frames[:2]:
        stream.changes(frame)
        features = stream.head(route, bundle.inputs_of(frame))
        position, reference = stream.next(point, route.codec, 1.0)
        _, kept = route.encode(features, position, reference)
        stream.keep(position, point, kept)
    assert 0 < stream.changes(frames[2])[point] < 1
    stream.head(route, bundle.inputs_of(frames[2]))
    stream.next(point, route.codec, 1.0)  # and nobody says that it arrived
    found = stream.changes(frames[2])
    assert point not in found
    assert found[replace(LOCAL, split="2", incremental=True)] == 0.0  # whose codec has no state


def test_a_head_that_is_not_held_makes_its_point_a_refresh(bundle, deltas):
    dense, point = deltas
    frames, stream, route = [*clip(2)], Stream(bundle), bundle.route(deltas[0])
    stream.changes(frames[0])
    position, reference = stream.next(dense, route.codec, 1.0)
    _, kept = route.encode(stream.head(route, bundle.inputs_of(frames[0])), position, reference)
    stream.keep(position, dense, kept)
    found = stream.changes(frames[1])
    assert dense in found
    assert point not in found


def prices(point):
    """Dense and incremental at a split, by change."""
    costs = {
        LOCAL: Cost(head_s=0.5),
        replace(point, incremental=False): Cost(head_s=0.1, payload_bytes=9000, tail_s=0.01, finish_s=0.3),
        point: Cost(head_s=0.12, payload_bytes=9000, tail_s=0.01, finish_s=0.3),
    }
    after = {
        one: (replace(cost, payload_bytes=300, head_s=0.02 if one.incremental else 0.1),)
        for one, cost in costs.items()
        if one != LOCAL
    }
    return Profile(costs, "", "test", "test", (0.02, 1.0), after)


def test_the_table_begins_to_hold_a_head_beside_a_codec_that_is_held(deltas):
    """Once it costs bytes too: the refresh of both is spread over the horizon."""
    dense, point = deltas
    scheduler = Scheduler(prices(point), ENERGY, deadline_s=1.0, period_s=0.1)
    estimate = RateEstimate(1e7, 8e6)
    assert scheduler.choose(estimate, 0.0, {dense: 0.02}, step=0.9).point == dense
    begun = scheduler.choose(estimate, 0.1, {dense: 0.02}, step=0.02)
    assert begun.point == point
    assert begun.payload_bytes == 9000
    later = scheduler.choose(estimate, 0.2, {dense: 0.02, point: 0.02}, step=0.02)
    assert (later.point, later.payload_bytes) == (point, 300)
    assert begun.energy_j - later.energy_j < 0.1 * 4.0 * 0.1


def test_a_simulation_prices_head_and_payload(deltas):
    _, point = deltas
    profile = prices(point)
    scheduler = Scheduler(profile, ENERGY, deadline_s=1.0, period_s=0.1, policy=Fixed(point))
    steps = [1.0, *[0.02] * 4]
    trace = Trace([0.0], [1e7], 100.0)
    records = simulate(profile, ENERGY, trace, scheduler, frames=5, period_s=0.1, changes=steps)
    sizes = [record.measurement.payload_bytes for record in records]
    assert sizes == [9000, *[300] * 4]
    assert [record.measurement.compute_s for record in records] == pytest.approx([0.12, *[0.02] * 4])


def test_a_profile_times_head_and_codec_by_change(bundle, deltas):
    profile = adaedge.profile(bundle, repetitions=3, frames=[*clip(20)])
    dense, point = deltas
    assert set(profile.next_costs) >= {dense, point, LOCAL.__class__("output", incremental=True)}
    sizes = [[cost.payload_bytes for cost in profile.next_costs[one]] for one in deltas]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)
    raw = replace(LOCAL, split="2", incremental=True)
    assert {cost.payload_bytes for cost in profile.next_costs[raw]} == {profile[raw].payload_bytes}
