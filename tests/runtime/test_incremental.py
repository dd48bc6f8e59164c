"""Incremental heads, deployed: built, profiled, chosen by change, run by a terminal, equal to dense on any sequence."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import adaedge
from adaedge import Bundle, Scheduler, Space, Terminal
from adaedge.bundle import Preprocessing
from adaedge.channel import Trace
from adaedge.energy import WIFI_2012, ComputePower, EnergyModel
from adaedge.errors import BundleError, CacheError, IntegrityError, LevelError
from adaedge.operating_point import KEPT, Cost, OperatingPoint, Profile
from adaedge.runtime import NoLink
from adaedge.scheduling import Fixed
from adaedge.simulation import simulate
from adaedge.stream import Stream
from adaedge.stream.cached_head import GAP
from adaedge.stream.runners import Runners

SIZE = (96, 160)
LOCAL, INCREMENTAL = OperatingPoint("output"), OperatingPoint("output", incremental=True)
ENERGY = EnergyModel(ComputePower(busy_w=4.0), WIFI_2012)


class Mapping(nn.Module):
    """A picture to a map of scores."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.a, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.b, self.c = nn.Conv2d(8, 16, 3, 1, 1), nn.Conv2d(16, 4, 3, 1, 1)
        self.act = nn.ReLU6(inplace=True)  # which a captured graph writes in place again where it may

    def forward(self, picture):
        return self.c(self.act(self.b(self.act(self.norm(self.a(picture))))))


def clip(count=16, seed=0, size=12):
    """Something moves before a still background."""
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    for at in range(count):
        frame = still.copy()
        frame[30 : 30 + size, 6 * at : 6 * at + size] = rng.integers(0, 256, (size, size, 3), np.uint8)
        yield frame


@pytest.fixture(scope="module")
def bundle():
    return built()


def built(seed=0, **more):
    space = Space(precisions=["fp32", "int8"], incremental=(False, True), kept=False, **more)
    frames = [*clip(), *clip(4, seed=1, size=60)]
    geometry = Preprocessing(size=SIZE, crop=1.0)
    example = (torch.rand(1, 3, *SIZE),)
    return adaedge.build(
        Mapping(seed).eval(), example, space, calibrate=[adaedge.Clip(frames, 25.0)], preprocessing=geometry
    )


def profile_of(bundle, held_s=0.03, refresh_s=0.12, dense_s=0.1):
    """A little dearer than dense when it refreshes, cheaper where little changed."""
    changes = 0.02, 0.3, 1.0
    after = Cost(head_s=held_s), Cost(head_s=0.11)
    costs = {LOCAL: Cost(head_s=dense_s), INCREMENTAL: Cost(head_s=refresh_s)}
    return Profile(costs, bundle.digest, "test", "test", changes, {INCREMENTAL: after})


def terminal_of(bundle, profile=None, **more):
    scheduler = Scheduler(profile or profile_of(bundle), ENERGY, deadline_s=0.5, period_s=0.1, **more)
    return Terminal(bundle, scheduler, NoLink(), preload=False)


def dense(bundle, frame, point=LOCAL):
    return bundle.run(point, bundle.inputs_of(frame))


def is_close(one, other):
    return all(np.abs(a - b).max() <= 1e-5 * np.abs(b).max() for a, b in zip(one, other, strict=True))


def test_a_bundle_lists_incremental_points_and_how_good_they_are_in_order(bundle):
    entries = {entry.point: entry for entry in bundle.manifest.points}
    assert {point for point in entries if point.incremental} == {INCREMENTAL, replace(INCREMENTAL, precision="int8")}
    assert entries[INCREMENTAL].accuracy.value == 1.0
    assert entries[INCREMENTAL].accuracy.samples == 20
    head = bundle.manifest.cut("output").incremental
    assert (head.tolerance, head.audit_every, head.plain) == (0.0, 0, None)
    shared = {name for half in head.graphs for name in half.weights}
    assert shared <= {*bundle.manifest.cut("output").head.weights}  # no weight is stored twice


def test_saved_and_loaded_it_runs_the_same(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    loaded = Bundle.load(tmp_path / "b")
    assert loaded.manifest == bundle.manifest
    stream, other = Stream(loaded), Stream(bundle)
    for frame in clip(4):
        inputs = loaded.inputs_of(frame)
        mine, theirs = (one.head(b.route(INCREMENTAL), inputs) for one, b in ((stream, loaded), (other, bundle)))
        assert all(map(np.array_equal, mine, theirs))
    assert stream.cached.stats.path == "incremental"
    plan = tmp_path / "b" / loaded.manifest.cut("output").incremental.plan
    plan.write_bytes(plan.read_bytes().replace(b'"segments"', b'"segmentz"'))
    with pytest.raises(IntegrityError, match=r"plan\.json is corrupted"):
        Bundle.load(tmp_path / "b")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_any_sequence_equals_dense(bundle, precision):
    """Forth and back, a cut, the caller's buffer reused, frames at another point in between."""
    point = replace(INCREMENTAL, precision=precision)
    frames = [*clip(6)]
    order = [0, 1, 2, 1, 0, 5, 5, 3]
    stream, buffer, paths = Stream(bundle), np.empty_like(frames[0]), []
    for at in order:
        buffer[...] = frames[at] if at != 3 else 255 - frames[at]
        stream.changes(buffer)
        found = stream.head(bundle.route(point), bundle.inputs_of(buffer))
        paths.append(stream.cached.stats.path)
        expected = Stream(bundle).head(bundle.route(point), bundle.inputs_of(buffer))
        assert is_close(found, expected)
        if precision == "fp32":
            assert is_close(found, dense(bundle, buffer))
        stream.changes(buffer)
        stream.head(bundle.route(LOCAL), bundle.inputs_of(buffer))
        found[0][...] = 0  # what the caller does to an answer changes nothing that is held
    assert paths[0] == "refresh"
    assert "incremental" in paths
    assert paths[6] == "unchanged"
    assert paths[7] == "dense"


def test_a_terminal_begins_to_hold_where_little_changes_and_stops_where_all_does(bundle):
    rng = np.random.default_rng(9)
    noise = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(5)]
    with terminal_of(bundle) as terminal:
        results = [terminal.infer(frame) for frame in (*clip(6), *noise, *clip(3))]
    for result, frame in zip(results, (*clip(6), *noise, *clip(3)), strict=True):
        assert is_close(result.answer, dense(bundle, frame))
    ways = [(result.decision.point.incremental, result.measurement.computed_by) for result in results]
    assert ways[0] == (False, "")  # what changes is not known before the second frame
    assert ways[1] == (True, "refresh")
    assert ways[2:6] == [(True, "incremental")] * 4
    assert ways[6:11] == [(False, "")] * 5
    assert ways[12:] == [(True, "incremental")] * 2  # it is held still: a cut and back
    assert results[2].measurement.macs_share < 0.4
    assert results[1].decision.reasons[-1].startswith("incremental: a refresh, to hold what frames that change by ")
    assert results[2].decision.reasons[-1].endswith(" % counts as changed since what is held")
    assert results[0].measurement.macs_share is None
    # The refresh is spread over the 200 frames of the horizon, the frames after it are priced as they are.
    assert results[1].decision.energy_j == pytest.approx(4.0 * (0.03 + 0.09 / 200), rel=0.05)
    assert results[1].decision.latency_s == pytest.approx(0.12)
    assert results[2].decision.energy_j == pytest.approx(4.0 * 0.03, rel=0.05)


def test_a_record_says_how_it_was_computed(bundle):
    from adaedge.runtime import FrameRecord, run

    with terminal_of(bundle) as terminal:
        records = [*run(terminal, clip(3), period_s=0.0)]
    last = FrameRecord.from_json(records[-1].to_json())
    assert last == records[-1]
    assert last.measurement.computed_by == "incremental"
    assert json.loads(records[-1].to_json())["measurement"]["macs_share"] < 1


def test_where_it_pays_too_little_or_comes_too_late_dense_runs(bundle):
    for profile, limits in ((profile_of(bundle, held_s=0.098), {}), (profile_of(bundle, refresh_s=0.6), {})):
        with terminal_of(bundle, profile, **limits) as terminal:
            points = {terminal.infer(frame).decision.point for frame in clip(5)}
        assert points == {LOCAL}


def test_a_refresh_is_dropped_after_a_gap_and_by_another_head(bundle):
    frames = [*clip(4)]
    stream, int8 = Stream(bundle), replace(INCREMENTAL, precision="int8")
    run_at(stream, bundle, INCREMENTAL, frames[0])
    assert stream.cached.length_bytes > 0
    assert {*stream.changes(frames[1])} == {INCREMENTAL}
    run_at(stream, bundle, int8, frames[1])
    assert stream.cached.stats.path == "refresh"
    run_at(stream, bundle, INCREMENTAL, frames[2])
    assert stream.cached.stats.path == "refresh"
    for _ in range(GAP):
        assert stream.changes(frames[2]) == {INCREMENTAL: 0.0}
    assert stream.changes(frames[2]) == {}
    assert stream.cached.length_bytes == 0


def run_at(stream, bundle, point, frame):
    stream.changes(frame)
    return stream.head(bundle.route(point), bundle.inputs_of(frame))


def test_what_fails_leaves_nothing_held(bundle):
    stream, frame = Stream(bundle), next(clip())
    run_at(stream, bundle, INCREMENTAL, frame)
    with pytest.raises(CacheError, match="made incremental for"):
        stream.head(bundle.route(INCREMENTAL), (np.zeros((1, 8, 8, 3), np.uint8),))
    assert stream.changes(frame) == {}
    run_at(stream, bundle, INCREMENTAL, frame)
    assert stream.cached.stats.path == "refresh"


def test_a_head_that_runs_dense_though_held_counts_as_changed(bundle):
    """A change that looks little but computes all is learned; it is forgotten within some twenty frames."""
    frames = [*clip(2)]
    stream = Stream(bundle)
    run_at(stream, bundle, INCREMENTAL, frames[0])
    for at in range(6):
        run_at(stream, bundle, INCREMENTAL, frames[0] if at % 2 else 255 - frames[0])
    learned = stream.cached.dense
    assert learned > 0.5
    assert stream.changes(frames[0])[INCREMENTAL] > 0.5
    for _ in range(20):
        stream.changes(frames[0])
    assert 0.1 * learned < stream.cached.dense < 0.15 * learned


@pytest.fixture(scope="module")
def bare():
    """Of tensors, without clips."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 2, 3, 1, 1)).eval()
    return adaedge.build(net, (torch.rand(1, 3, 64, 64),), Space(incremental=[False, True]))


def test_nan_runs_dense_and_is_not_held(bare):
    frame = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    stream, route = Stream(bare), bare.route(INCREMENTAL)
    stream.head(route, (frame,))
    broken = frame.copy()
    broken[0, 0, 5, 5] = np.nan
    (found,) = stream.head(route, (broken,))
    assert np.isnan(found).any()
    np.testing.assert_array_equal(found, *bare.run(LOCAL, (broken,)))
    assert stream.cached.stats.path == "dense"
    assert stream.cached.length_bytes == 0
    (found,) = stream.head(route, (frame,))
    assert is_close((found,), bare.run(LOCAL, (frame,)))


def test_a_profile_measures_by_change(bundle):
    profile = adaedge.profile(bundle, repetitions=4, frames=[*clip()])
    assert set(profile.next_costs) == {point for point in profile if point.incremental}
    assert len(profile.next_costs[INCREMENTAL]) == len(bundle.manifest.changes) - 1
    assert Profile.from_json(profile.to_json()) == profile
    scheduler = Scheduler(profile, ENERGY, deadline_s=0.5)
    assert INCREMENTAL in scheduler.table.points


def test_without_clips_no_amount_of_change_is_known_and_dense_is_chosen(bare):
    profile = adaedge.profile(bare, repetitions=2)
    assert INCREMENTAL in profile
    assert not profile.next_costs


def test_a_simulation_chooses_as_a_terminal_does(bundle):
    profile = profile_of(bundle)
    scheduler = Scheduler(profile, ENERGY, deadline_s=0.5, period_s=0.1)
    steps = [1.0, *[0.02] * 9, *[0.9] * 5]
    records = simulate(
        profile,
        ENERGY,
        Trace(np.array([0.0]), np.array([1e6]), 100.0),
        scheduler,
        frames=15,
        period_s=0.1,
        changes=steps,
    )
    points = [record.decision.point for record in records]
    assert points == [LOCAL, *[INCREMENTAL] * 9, *[LOCAL] * 5]
    assert records[1].measurement.compute_s == pytest.approx(0.12)
    assert records[2].measurement.compute_s == pytest.approx(0.03)


def test_entering_measures_what_segments_cost(bundle):
    assert KEPT not in bundle.points
    scheduler = Scheduler(profile_of(bundle), ENERGY, deadline_s=0.5, policy=Fixed(INCREMENTAL))
    terminal = Terminal(bundle, scheduler, NoLink())
    runner = terminal._runners.of(bundle.route(INCREMENTAL))
    estimated = runner.costs
    with terminal:
        assert runner.costs.whole < 1 < estimated.whole  # seconds in place of multiply-accumulates
        for at, frame in enumerate(clip(3)):
            result = terminal.infer(frame)
            assert is_close(result.answer, dense(bundle, frame))
            assert (result.measurement.computed_by == "refresh") == (at == 0)


def test_what_is_not_there_is_refused(bundle):
    with pytest.raises(BundleError, match=r"no incremental head at 'input'.*--incremental"):
        bundle.route(OperatingPoint("input", incremental=True))
    with pytest.raises(BundleError, match="is not incremental"):
        Runners(bundle).of(bundle.route(LOCAL))
    with pytest.raises(LevelError, match=r"incremental is a sequence of False and True"):
        Space(incremental=True)
    with pytest.raises(CacheError, match=r"tolerance is a share"):
        Space(incremental=(True,), tolerance=1.5)


def test_with_a_tolerance_one_frame_in_so_many_is_audited(bundle):
    """Small noise is left as it was; the audit answers what dense does, and narrows what it finds too wide."""
    manifest = bundle.manifest
    cuts = []
    for cut in manifest.cuts:
        head = cut.incremental and replace(cut.incremental, tolerance=0.2, audit_every=3, floor=1.0)
        cuts.append(replace(cut, incremental=head))
    loose = Bundle(replace(manifest, cuts=tuple(cuts)), bundle._files)
    rng, frames = np.random.default_rng(3), [*clip(5)]
    noisy = [np.clip(frame.astype(int) + rng.integers(-2, 3, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
    stream, paths = Stream(loose), []
    for frame in noisy:
        found = run_at(stream, loose, INCREMENTAL, frame)
        paths.append(stream.cached.stats.path)
        apart = np.abs(found[0] - dense(loose, frame)[0]).max()
        assert (apart == 0) == (paths[-1] in ("refresh", "audit"))
    assert paths == ["refresh", "incremental", "incremental", "audit", "incremental"]
