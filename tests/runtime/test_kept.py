"""A terminal keeps the last answer where little changed, and says so."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import BundleError, LinkDownError, ScheduleError, SourceError
from adaedge.metrics import Score
from adaedge.operating_point import KEPT, Cost, KeptCurve, KeptKnot, OperatingPoint, Profile
from adaedge.runtime import EdgeServer, EdgeSession, FrameRecord, ManualClock, ReplayLink, Terminal, session
from adaedge.scheduling import Scheduler
from adaedge.stream import BlockChange, Keeping, Stream
from benchmarks.tiny_bundle import tiny_bundle

LOCAL = OperatingPoint("output")
PICTURE = OperatingPoint("input", codec="jpeg@90")
VIDEO = OperatingPoint("input", codec="h264@28")
CURVE = KeptCurve(
    "moved-blocks", "of blocks moved", "cosine", (KeptKnot(0.02, 0.99, 0.98, 50), KeptKnot(0.1, 0.96, 0.94, 90))
)


@pytest.fixture(scope="module")
def keeping():
    return tiny_bundle(codecs=["h264@28"], kept=CURVE)


def frames(count, seed=0, every=6):
    """A scene that stands still, but that every so many frames a bright square has jumped."""
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, 120, (12, 16, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    shown = []
    for index in range(count):
        frame = scene.copy()
        x = 16 * (index // every) % 96
        frame[20:60, x : x + 32] = 250
        shown.append(frame)
    return shown


def terminal_of(bundle, *, floor=0.9, point=LOCAL, served=None, keeping=None, scheduler=None, clock=None):
    clock = clock or ManualClock()
    costs = {
        LOCAL: Cost(0.05),
        PICTURE: Cost(0.001, 0.001, 4e3, 0.001, 0.001, 150, 0.001, accuracy=0.99),
        VIDEO: Cost(0.001, 0.001, 4e3, 0.001, 0.001, 150, 0.001, accuracy=0.99),
    }
    costs = {LOCAL: costs[LOCAL], point: costs[point], KEPT: Cost(0.0005, accuracy=None)}
    profile = Profile(costs, bundle.digest, "test", "test", kept=bundle.manifest.kept)
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    chosen = scheduler or Scheduler(profile, energy, deadline_s=0.1, period_s=0.1, accuracy_floor=floor)
    link = ReplayLink(Trace((0.0, 1e6), (1e7, 1e7)), served or EdgeSession(bundle).answer, clock)
    return Terminal(bundle, chosen, link, clock=clock, keeping=keeping)


def points(terminal, shown):
    with terminal:
        return [terminal.infer(frame).decision.point for frame in shown]


@pytest.mark.parametrize("point", [LOCAL, PICTURE, VIDEO])
def test_a_still_scene_is_computed_once_and_a_new_one_at_once(keeping, point):
    found = points(terminal_of(keeping, point=point), frames(18))
    assert found == ([point] + [KEPT] * 5) * 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("point", [LOCAL, PICTURE, VIDEO])
def test_what_is_kept_equals_the_last_that_was_computed_and_says_which(keeping, point, seed):
    rng = np.random.default_rng(seed)
    shown = [frames(40, seed=seed, every=1)[at] for at in np.repeat(rng.integers(0, 40, 12), rng.integers(1, 5, 12))]
    last, came_from = None, None
    with terminal_of(keeping, point=point) as terminal:
        for number, frame in enumerate(shown):
            result = terminal.infer(frame)
            done = result.measurement
            if result.decision.point == KEPT:
                assert all(map(np.array_equal, result.answer, last))
                assert done.kept_from == came_from < number
                assert done.answered_by == "earlier"
                assert (done.payload_bytes - done.probe_bytes, done.answer_bytes, done.failure) == (0, 0, "")
                assert result.decision.change <= 0.1
                assert result.decision.accuracy >= 0.9
            else:
                last, came_from = [part.copy() for part in result.answer], number
                assert done.kept_from is None
            for part in result.answer:  # the caller's to write into
                part[:] = -7


def test_never_without_a_floor_nor_without_a_curve_nor_for_what_is_no_frame(keeping, bundle):
    assert KEPT not in points(terminal_of(keeping, floor=0.0), frames(6))
    assert KEPT not in points(terminal_of(bundle), frames(6))
    inputs = [(keeping.preprocess(frame),) for frame in frames(6)]
    assert KEPT not in points(terminal_of(keeping), inputs)


def test_references_are_left_as_they_are(keeping):
    """What is sent after kept frames builds upon what was sent before them."""
    bases = []

    def served(payload):
        bases.append(keeping.read(payload).base)
        return edge.answer(payload)

    edge = EdgeSession(keeping)
    found = points(terminal_of(keeping, point=VIDEO, served=served), frames(18))
    assert found.count(KEPT) == 15
    assert bases == [0, 1, 2]


def test_a_lost_link_is_not_noticed_by_what_is_kept(keeping):
    def down(payload):
        raise LinkDownError("gone")

    with terminal_of(keeping, point=PICTURE, served=down) as terminal:
        results = [terminal.infer(frame) for frame in frames(6)]
    assert [result.measurement.answered_by for result in results] == ["terminal"] + ["earlier"] * 5
    expected = keeping.run(LOCAL, (keeping.preprocess(frames(1)[0]),))
    assert all(np.array_equal(result.answer[0], expected[0]) for result in results)


def test_an_answer_at_a_lower_rate_is_not_kept(keeping):
    terminal = terminal_of(keeping)
    stream = terminal.stream()
    frame = frames(1)[0]
    stream.changes(frame)
    stream.answered((np.zeros(3),), 0, LOCAL)
    assert stream.changes(frame) == {KEPT: 0.0}
    stream.answered(None, 1, LOCAL)
    assert stream.changes(frame) == {}
    assert stream.keeper.last is None


def test_streams_keep_their_own(keeping):
    a, b = frames(1, seed=1)[0], frames(1, seed=2)[0]
    with terminal_of(keeping) as terminal:
        one, other = terminal.stream(), terminal.stream()
        found = [terminal.infer(frame, stream) for frame, stream in [(a, one), (b, other)] * 3]
    assert [result.decision.point for result in found] == [LOCAL, LOCAL] + [KEPT] * 4
    assert not np.array_equal(found[-1].answer[0], found[-2].answer[0])
    assert [result.measurement.kept_from for result in found[2:]] == [0] * 4


def test_drift_is_measured_against_the_frame_that_was_computed(keeping):
    start, end = (frames(1, seed=seed)[0].astype(float) for seed in (1, 2))
    shown = [np.rint(start + (end - start) * share).astype(np.uint8) for share in np.linspace(0, 1, 40)]
    found = points(terminal_of(keeping), shown)
    assert 2 <= found.count(LOCAL) < 40


def test_a_kept_frame_is_not_resized(keeping, monkeypatch):
    resized = []
    terminal = terminal_of(keeping)
    inner = Stream.inputs_of
    monkeypatch.setattr(Stream, "inputs_of", lambda self, *given: resized.append(1) or inner(self, *given))
    points(terminal, frames(6))
    assert len(resized) == 1


def test_a_frame_that_is_none_changes_nothing(keeping):
    with terminal_of(keeping) as terminal:
        first = terminal.infer(frames(1)[0])
        state = terminal.scheduler.state
        for wrong in (np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3), np.float32), "frame"):
            with pytest.raises(SourceError):
                terminal.infer(wrong)
        assert terminal.scheduler.state == state
        again = terminal.infer(frames(1)[0])
    assert again.decision.point == KEPT
    assert np.array_equal(again.answer[0], first.answer[0])


def test_records_say_it_and_older_ones_are_read(keeping):
    with terminal_of(keeping) as terminal:
        records = list(session.run(terminal, frames(6)))
    kept = records[-1]
    assert (kept.decision.point.split, kept.measurement.kept_from, kept.decision.change) == ("kept", 0, 0.0)
    assert "0.0 % of blocks moved since frame 0" in kept.decision.reasons
    assert FrameRecord.from_json(kept.to_json()) == kept
    row = json.loads(kept.to_json())
    for name in ("kept_from", "audit_score", "correction"):
        del row["measurement"][name]
    assert FrameRecord.from_json(json.dumps(row)).measurement.kept_from is None


class Wrong:
    """Finds every two answers as alike as it is told."""

    name = "cosine"

    def __init__(self, value):
        self.value = value

    def score(self, expected, given):
        return Score(self.value, len(given), self.value, self.value)


def test_one_frame_in_so_many_is_audited_and_a_wrong_answer_ends_keeping(keeping):
    still = frames(60, every=1000)
    right = [*run(keeping, still, Keeping(audit_every=10, metric=Wrong(1.0)))]
    audited = [index for index, record in enumerate(right) if record.measurement.audit_score is not None]
    assert audited == [10, 20, 30, 40, 50]
    assert [right[index].decision.point for index in audited] == [LOCAL] * 5
    assert any("an audit: one in 10 frames" in reason for reason in right[10].decision.reasons)
    assert {record.measurement.correction for record in right} == {0.0}
    assert sum(record.decision.point == KEPT for record in right) == 60 - 6
    wrong = [*run(keeping, still, Keeping(audit_every=10, metric=Wrong(0.0)))]
    found = [wrong[at].measurement.correction for at in (9, 10, 20, 30)]
    assert found == pytest.approx([0.0, 0.049, 0.098, 0.125])
    assert any("counted as 4.9 % since an audit" in reason for reason in wrong[11].decision.reasons)
    assert wrong[29].decision.point == KEPT
    assert not any(record.decision.point == KEPT for record in wrong[31:])
    worse = [*run(keeping, still, Keeping(audit_every=10, metric=Wrong(0.8)))]
    assert worse[10].measurement.correction == pytest.approx(0.1 * 0.18 / 2)
    assert worse[11].decision.point == KEPT
    assert worse[31].decision.accuracy < right[31].decision.accuracy
    never = [*run(keeping, still, Keeping(audit_every=0, metric=Wrong(0.0)))]
    assert sum(record.decision.point == KEPT for record in never) == 59


def test_audits_that_find_nothing_wrong_let_it_keep_again(keeping):
    metric = Wrong(0.0)
    with terminal_of(keeping, keeping=Keeping(audit_every=2, metric=metric)) as terminal:
        stream = terminal._stream
        [terminal.infer(frame) for frame in frames(16, every=1000)]
        tight = stream.keeper.audit.correction
        metric.value = 1.0
        found = [terminal.infer(frame).decision.point for frame in frames(80, every=1000)]
        assert tight == pytest.approx(0.125)
        assert 0 < stream.keeper.audit.correction < tight
    assert KEPT in found


def run(bundle, shown, keeping):
    with terminal_of(bundle, keeping=keeping) as terminal:
        yield from session.run(terminal, shown)


def test_another_detector_than_the_fitted_one_is_refused(keeping, bundle):
    with pytest.raises(ScheduleError, match="change detector 'moved-blocks'; this stream measures with 'blocks'"):
        terminal_of(keeping, keeping=Keeping(detector=BlockChange()))
    with pytest.raises(ScheduleError, match=r"fitted with the change detector 'moved-blocks'.*Terminal\.stream"):
        terminal_of(keeping).stream(BlockChange())
    own = tiny_bundle(kept=dataclasses.replace(CURVE, detector="mine"))
    with pytest.raises(ScheduleError, match=r"none of adaedge's has this name. Pass that one"):
        terminal_of(own)
    other = tiny_bundle(kept=dataclasses.replace(CURVE, detector="blocks"))
    assert KEPT in points(terminal_of(other), frames(6)), "found by its name"
    assert KEPT not in points(terminal_of(bundle, keeping=Keeping(detector=BlockChange())), frames(6))


@pytest.mark.parametrize("every", [1, -1])
def test_an_audit_of_every_frame_is_refused(every):
    with pytest.raises(ScheduleError, match="one kept frame in audit_every is computed: 2 or more, or 0"):
        Keeping(audit_every=every)


def test_the_time_that_the_comparison_takes_is_computing(keeping, monkeypatch):
    with terminal_of(keeping) as terminal:
        looked = terminal._stream.keeper.change

        def slowly(*given):
            terminal.clock.sleep_until(terminal.clock.now_s() + 0.004)
            return looked(*given)

        monkeypatch.setattr(type(terminal._stream.keeper), "change", lambda self, *given: slowly(*given))
        assert [terminal.infer(frame).measurement.compute_s for frame in frames(2)] == pytest.approx([0.004] * 2)


def test_a_bundle_alone_has_no_last_answer(keeping, credentials):
    assert keeping.points[0] == KEPT
    with pytest.raises(BundleError, match="`kept` has no halves: it is a stream's last answer"):
        keeping.run(KEPT, (keeping.preprocess(frames(1)[0]),))
    with EdgeServer(keeping, credentials=credentials) as server:
        server.preload()
