import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from adaedge.bundle.route import Route
from adaedge.channel import HarmonicMean, LastUpload, Trace
from adaedge.energy import ComputePower, EnergyModel, EnergySplit, RadioPower, presets
from adaedge.errors import (
    BundleError,
    LinkDownError,
    LinkTimeoutError,
    OverloadError,
    RefusedError,
    ScheduleError,
    SourceError,
)
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import EdgeSession, GrpcLink, ManualClock, ReplayLink, Reply, ShapedLink, SkippingClock, Terminal
from adaedge.runtime.emulated_links import HELLO_BYTES
from adaedge.runtime.link_monitor import LinkMonitor
from adaedge.scheduling import PROBE_BYTES, Fixed, ProbePlan, Scheduler

FEATURES = OperatingPoint("relu", codec="u8")
LOCAL = OperatingPoint("output")
FAST = Trace((0.0, 1e6), (1e7, 1e7))
ENERGY = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
CONTACT_BYTES = HELLO_BYTES + PROBE_BYTES
PLAN = ProbePlan(interval_s=0.05, longest_s=0.1)


class Faulty:
    """A link in this process that can be told what goes wrong next."""

    def __init__(self, bundle, clock=None):
        self.link = ReplayLink(FAST, EdgeSession(bundle).answer, clock or ManualClock())
        self.clock = self.link.clock
        self.fault = None
        self.hellos = self.probes = self.exchanges = 0
        self.patience = -1  # answer so many more times, then time out

    def _fail(self, timeout_s):
        self.patience -= 1
        if self.patience == -1:
            self.fault = LinkTimeoutError("late")
        if isinstance(self.fault, LinkTimeoutError):
            self.clock.sleep_until(self.clock.now_s() + timeout_s)
        if isinstance(self.fault, Exception):
            raise self.fault

    def hello(self, bundle, timeout_s):
        self.hellos += 1
        self._fail(timeout_s)
        self.link.hello(bundle, timeout_s)

    def exchange(self, payload, timeout_s):
        self.exchanges += 1
        self.payload = payload
        self._fail(timeout_s)
        reply = self.link.exchange(payload, timeout_s)
        return Reply(self.fault(reply.data), reply.upload_s) if callable(self.fault) else reply

    def probe(self, size_bytes, timeout_s):
        self.probes += 1
        self._fail(timeout_s)
        return self.link.probe(size_bytes, timeout_s)

    def close(self):
        self.closed = True


@pytest.fixture
def faulty(bundle):
    return Faulty(bundle)


def terminal_of(bundle, profile, link, **options):
    scheduler = Scheduler(profile, ENERGY, deadline_s=0.1, policy=options.pop("policy", None))
    return Terminal(bundle, scheduler, link, clock=link.clock, plan=PLAN, preload=False, **options)


def contact_j(rate_bps):
    radio = presets.WIFI_2012
    return 8 * CONTACT_BYTES * (radio.uplink_w_per_bps + radio.uplink_w / rate_bps) * (1 + 1e-9)


def local_answer(bundle, frame):
    return bundle.run(LOCAL, (bundle.preprocess(frame),))[0]


def test_a_frame_is_offloaded_and_its_answer_is_the_bundles(bundle, profile, faulty, frame):
    with terminal_of(bundle, profile, faulty) as terminal:
        result = terminal.infer(frame)
    assert result.decision.point == FEATURES
    assert np.array_equal(result.output[0], bundle.run(FEATURES, (frame[None],))[0])
    done = result.measurement
    assert (done.answered_by, done.failure) == ("edge", "")
    payload = bundle.encode(FEATURES, bundle.head("relu").run((frame[None],)), sequence=1)
    assert done.payload_bytes == len(payload) + CONTACT_BYTES  # of entering: it is recorded with the first frame
    assert done.probe_bytes == CONTACT_BYTES
    assert done.upload_s == pytest.approx(8 * len(payload) / 1e7)
    assert done.answer_bytes > 0
    assert faulty.closed


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (LinkTimeoutError("late"), "timeout"),
        (LinkDownError("gone"), "down"),
        (RefusedError("no"), "refused"),
        (OverloadError("too much work"), "overload"),
        (lambda data: data[:-3], "corrupted"),
        (lambda data: b"", "corrupted"),
        (lambda data: b"HTTP/1.1 200 OK\r\n\r\n" * 9, "corrupted"),
        (lambda data: bytes([*data[:-1], data[-1] ^ 1]), "corrupted"),
        (lambda data: bytes(10_000_000), "corrupted"),
    ],
)
def test_whatever_goes_wrong_the_frame_is_answered_locally(bundle, profile, faulty, frame, fault, word):
    with terminal_of(bundle, profile, faulty) as terminal:
        faulty.fault = fault
        result = terminal.infer(frame)
        assert result.decision.point == FEATURES
        assert np.array_equal(result.output[0], local_answer(bundle, frame))
        assert (result.measurement.failure, result.measurement.answered_by) == (word, "terminal")
        assert result.measurement.latency_s <= 0.1
        sent = word != "down"  # what a broken connection took is not known
        assert (result.measurement.payload_bytes > CONTACT_BYTES) == sent
        assert (result.measurement.energy.transmit_j > contact_j(10e6)) == sent


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_cannot_be_encoded_are_finished_locally_and_the_link_is_not_blamed(
    bundle, profile, faulty, frame, monkeypatch, value
):
    head = bundle.head("relu")
    wild = tuple(np.full_like(part, value) for part in head.run((frame[None],)))
    spoilt = SimpleNamespace(run=lambda inputs: wild)
    monkeypatch.setattr(Route, "head", property(lambda _: spoilt))
    with terminal_of(bundle, profile, faulty) as terminal:
        done = terminal.infer(frame).measurement
        assert (done.failure, done.answered_by, done.upload_s) == ("unsent", "terminal", 0.0)
        assert faulty.exchanges == 0
        assert terminal.offloads


def test_an_offload_of_the_frame_itself_is_finished_by_the_local_model(bundle, faulty, frame):
    offload = OperatingPoint("input")
    profile = Profile({offload: Cost(0.0, payload_bytes=12e3, finish_s=0.01)}, bundle.digest, "", "")
    with terminal_of(bundle, profile, faulty) as terminal:
        faulty.fault = LinkDownError("gone")
        assert np.array_equal(terminal.infer(frame).output[0], local_answer(bundle, frame))


@pytest.mark.parametrize("spoil", ["sequence", "stream", "point", "codec", "bundle"])
def test_an_answer_to_something_else_is_not_believed(bundle, other_bundle, profile, faulty, frame, spoil):
    def swapped(data):
        message = bundle.read(faulty.payload)
        header, answer = bundle.decode_answer(data, message.request)
        changes = {
            "sequence": {"sequence": message.sequence + 1},
            "stream": {"stream": message.stream + 1},
            "point": {"point": OperatingPoint("input")},
            "codec": {"point": replace(message.point, codec="raw")},
            "bundle": {"bundle": other_bundle.digest},
        }
        return bundle.encode_answer(replace(message, **changes[spoil]), answer, edge_s=header.edge_s)

    with terminal_of(bundle, profile, faulty) as terminal:
        faulty.fault = swapped
        result = terminal.infer(frame)
    assert result.measurement.failure == "corrupted"
    assert np.array_equal(result.output[0], local_answer(bundle, frame))


def test_while_the_edge_is_down_nothing_is_offloaded_and_it_comes_back(bundle, profile, faulty, frame):
    with terminal_of(bundle, profile, faulty) as terminal:
        faulty.fault = LinkDownError("gone")
        assert terminal.infer(frame).measurement.failure == "down"
        assert not terminal.offloads
        for _ in range(5):
            faulty.clock.sleep_until(faulty.clock.now_s() + 0.1)
            result = terminal.infer(frame)
            assert (result.decision.point, result.measurement.failure) == (LOCAL, "")
        assert faulty.exchanges == 1
        assert faulty.hellos >= 3
        faulty.fault = None
        faulty.clock.sleep_until(faulty.clock.now_s() + 0.2)
        terminal.infer(frame)  # the probe after it finds the edge server
        assert terminal.offloads
        assert terminal.infer(frame).measurement.answered_by == "edge"


def test_to_a_mean_one_timeout_is_the_radios_fault_and_two_are_the_servers(bundle, profile, faulty, frame):
    with terminal_of(bundle, profile, faulty, policy=Fixed(FEATURES), estimator=HarmonicMean()) as terminal:
        faulty.fault = LinkTimeoutError("late")
        terminal.infer(frame)
        assert terminal.offloads
        terminal.infer(frame)
        assert not terminal.offloads


def test_an_edge_that_cannot_be_reached_is_a_warning_not_an_end(bundle, profile, faulty, frame):
    faulty.fault = RefusedError("the terminal has bundle 12, the edge server 34")
    terminal = terminal_of(bundle, profile, faulty)
    with pytest.warns(
        UserWarning, match="answered locally until the edge server is reached: the terminal has bundle 12"
    ):
        terminal.__enter__()
    assert terminal.infer(frame).decision.point == LOCAL
    terminal.close()


def test_a_terminal_that_cannot_be_entered_closes_its_link(bundle, profile, faulty, monkeypatch):
    def broken(_):
        raise BundleError("the head is not what manifest.json names")

    monkeypatch.setattr(Route, "head", property(broken))
    faulty.closed = False
    terminal = Terminal(bundle, Scheduler(profile, ENERGY, deadline_s=0.1), faulty, clock=faulty.clock)
    with pytest.raises(BundleError, match=r"not what manifest\.json names"):
        terminal.__enter__()
    assert faulty.closed


def test_a_link_that_is_not_used_is_probed_as_planned(bundle, profile, faulty, frame):
    with terminal_of(bundle, profile, faulty, policy=Fixed(LOCAL)) as terminal:
        before = faulty.probes
        for _ in range(10):
            faulty.clock.sleep_until(faulty.clock.now_s() + 0.06)
            terminal.infer(frame)
    assert 3 <= faulty.probes - before <= 10
    assert faulty.hellos == 1


def test_a_plan_of_never_never_probes(bundle, profile, faulty, frame):
    scheduler = Scheduler(profile, ENERGY, deadline_s=0.1, policy=Fixed(LOCAL))
    with Terminal(bundle, scheduler, faulty, clock=faulty.clock, plan=ProbePlan.never(), preload=False) as terminal:
        for _ in range(5):
            faulty.clock.sleep_until(faulty.clock.now_s() + 100)
            assert terminal.infer(frame).measurement.energy.total_j == 0  # nothing takes time on this clock
    assert (faulty.hellos, faulty.probes) == (0, 0)


def test_an_edge_that_was_never_reached_is_told_once(bundle, profile, faulty, frame, caplog):
    scheduler = Scheduler(profile, ENERGY, deadline_s=0.1, policy=Fixed(FEATURES))
    with Terminal(bundle, scheduler, faulty, clock=faulty.clock, plan=ProbePlan.never(), preload=False) as terminal:
        faulty.fault = RefusedError("another bundle")
        for _ in range(3):
            assert terminal.infer(frame).measurement.failure == "refused"
    assert [record.message for record in caplog.records] == [
        "frames are answered locally until the edge server is back: another bundle"
    ]


def test_probes_are_charged_and_recorded(bundle, profile, faulty, frame):
    with terminal_of(bundle, profile, faulty, policy=Fixed(LOCAL)) as terminal:
        first = terminal.infer(frame).measurement
        assert first.payload_bytes == CONTACT_BYTES
        assert terminal.infer(frame).measurement.payload_bytes == 0
        radio = presets.WIFI_2012
        sent_s = CONTACT_BYTES * 8 / 1e7
        expected_j = radio.uplink_w_per_bps * 8 * CONTACT_BYTES + radio.uplink_w * sent_s
        assert first.energy.transmit_j == pytest.approx(expected_j)


@pytest.mark.parametrize(("answered", "size_bytes"), [(0, HELLO_BYTES), (1, 0), (4, PROBE_BYTES)])
def test_contact_in_vain_is_charged_while_it_lasts(bundle, profile, faulty, frame, answered, size_bytes):
    """Handshake, empty message or probe times out: two seconds of sending, or of waking up and sending."""
    faulty.patience = answered
    terminal = terminal_of(bundle, profile, faulty, policy=Fixed(LOCAL))
    with pytest.warns(UserWarning, match="late"):
        terminal.__enter__()
    radio, sent_bytes = presets.WIFI_2012, (HELLO_BYTES if answered else 0) + size_bytes
    sent_s = 2.0 + (HELLO_BYTES * 8 / 1e7 if answered else -radio.promotion_s)
    done = terminal.infer(frame).measurement
    assert done.payload_bytes == sent_bytes
    assert done.energy.transmit_j == pytest.approx(radio.uplink_w_per_bps * 8 * sent_bytes + radio.uplink_w * sent_s)
    terminal.close()


def test_an_empty_message_keeps_the_radio_awake(bundle, profile, frame):
    link = Faulty(bundle)
    link.link = ReplayLink(FAST, EdgeSession(bundle).answer, link.clock, round_trip_s=0.03)
    with terminal_of(bundle, profile, link, policy=Fixed(LOCAL)) as terminal:
        energy = terminal.infer(frame).measurement.energy
    # The three of them and the probe's way back are waited for; the hello counts as sending.
    assert energy.tail_j == pytest.approx(presets.WIFI_2012.tail_w * 4 * 0.03)


def test_energy_is_charged_along_time_and_the_last_tail_on_closing(bundle, profile, faulty, frame):
    terminal = terminal_of(bundle, profile, faulty)
    with terminal:
        energy = terminal.infer(frame).measurement.energy
        assert energy.transmit_j > 0
    assert terminal.close() == EnergySplit()  # leaving has closed it


def test_the_last_tail_is_told_on_closing(bundle, profile, faulty, frame):
    terminal = terminal_of(bundle, profile, faulty)
    terminal.__enter__()
    assert terminal.infer(frame).measurement.answered_by == "edge"
    radio = presets.WIFI_2012
    assert terminal.close().tail_j == pytest.approx(radio.tail_w * radio.tail_s)


@pytest.mark.parametrize("fault", [None, LinkTimeoutError("late")])
def test_the_last_probe_is_charged_on_closing(bundle, profile, faulty, frame, fault):
    terminal = terminal_of(bundle, profile, faulty, policy=Fixed(LOCAL))
    terminal.__enter__()
    terminal.infer(frame)
    faulty.clock.sleep_until(1.0)
    faulty.fault = fault
    energy = terminal.infer(frame).measurement.energy  # the probe follows the frame
    assert energy.transmit_j == 0
    radio = presets.WIFI_2012
    sent_s = 2.0 - radio.promotion_s if fault else 8 * PROBE_BYTES / 1e7
    energy = terminal.close()
    assert energy.transmit_j == pytest.approx(radio.uplink_w_per_bps * 8 * PROBE_BYTES + radio.uplink_w * sent_s)
    assert energy.tail_j == pytest.approx(radio.tail_w * radio.tail_s)
    assert terminal.close() == EnergySplit()


def test_a_frame_of_the_wrong_shape_is_an_error_and_nothing_else_happens(bundle, profile, faulty, frame):
    with terminal_of(bundle, profile, faulty) as terminal:
        state = terminal.scheduler.state
        with pytest.raises(SourceError, match=r"a frame is uint8 \(height, width, 3\); got float64 \(2, 2\)"):
            terminal.infer(np.zeros((2, 2)))
        assert terminal.scheduler.state == state
        assert terminal.infer(frame).measurement.answered_by == "edge"


def test_a_model_that_takes_no_image_takes_its_inputs(bundle, profile, frame):
    from dataclasses import replace

    from adaedge.bundle import Bundle

    plain = Bundle(replace(bundle.manifest, preprocessing=None), bundle._files)
    link = Faulty(plain)
    with terminal_of(plain, replace(profile, bundle=plain.digest), link) as terminal:
        assert terminal.infer(frame[None]).measurement.answered_by == "edge"
        assert terminal.infer((frame[None],)).measurement.answered_by == "edge"
        with pytest.raises(
            SourceError, match=r"a frame of this bundle is uint8 \(1, 64, 64, 3\); got uint8 \(64, 64, 3\)"
        ):
            terminal.infer(frame)


def test_inputs_that_do_not_fit_are_refused(bundle, profile, faulty, frame):
    with terminal_of(bundle, profile, faulty) as terminal:
        assert terminal.infer((frame[None],)).measurement.answered_by == "edge"
        with pytest.raises(SourceError, match=r"got uint8 \(1, 64, 64, 3\), uint8 \(64, 64, 3\)"):
            terminal.infer((frame[None], frame))


def test_a_profile_of_another_bundle_is_refused(bundle, faulty):
    strange = Profile({OperatingPoint("blocks.9"): Cost(0.1), LOCAL: Cost(0.1)}, bundle.digest, "", "")
    with pytest.raises(ScheduleError, match=r"does not hold: blocks.9/w1/fp32/raw. Profile this bundle"):
        terminal_of(bundle, strange, faulty)


@pytest.mark.parametrize(("point", "fault"), [(LOCAL, None), (FEATURES, None), (FEATURES, LinkDownError("cut"))])
def test_a_paced_terminal_computes_as_long_as_its_profile_says(bundle, profile, frame, point, fault):
    slow = profile.slowed(0.02 / profile[LOCAL].head_s)
    scheduler = Scheduler(slow, ENERGY, deadline_s=1.0, policy=Fixed(point))
    link = Faulty(bundle)
    with Terminal(bundle, scheduler, link, paced=True) as terminal:
        link.fault = fault
        done = terminal.infer(frame).measurement
    expected_s = slow[point].terminal_s + (slow[point].finish_s if fault else 0.0)
    assert expected_s <= done.compute_s < expected_s + 0.2
    assert done.latency_s >= done.compute_s


@pytest.mark.parametrize(("point", "fault"), [(LOCAL, None), (FEATURES, None), (FEATURES, LinkDownError("cut"))])
def test_pacing_goes_by_the_clock(bundle, profile, faulty, frame, point, fault):
    slow = profile.slowed(1000.0)
    scheduler = Scheduler(slow, ENERGY, deadline_s=100.0, policy=Fixed(point))
    with Terminal(bundle, scheduler, faulty, clock=faulty.clock, preload=False, paced=True) as terminal:
        faulty.fault = fault
        done = terminal.infer(frame).measurement
    expected_s = slow[point].terminal_s + (slow[point].finish_s if fault else 0.0)
    assert done.compute_s == pytest.approx(expected_s)
    assert done.latency_s == pytest.approx(expected_s + done.upload_s + done.wait_s)


def test_skipped_pacing_puts_the_upload_where_in_the_trace_it_belongs(bundle, profile, frame):
    slow = profile.slowed(5000.0)  # ten seconds before the upload
    clock = SkippingClock()
    echo = SimpleNamespace(  # the edge server, without a link of its own
        hello=lambda digest, timeout_s: None,
        probe=lambda size, timeout_s: Reply(b""),
        exchange=lambda payload, timeout_s: Reply(EdgeSession(bundle).answer(payload)),
        close=lambda: None,
    )
    link = ShapedLink(echo, Trace((0.0, 5.0, 1000.0), (1e6, 1e8, 1e8)), clock)
    scheduler = Scheduler(slow, ENERGY, deadline_s=100.0, policy=Fixed(FEATURES))
    start = time.perf_counter()
    with Terminal(bundle, scheduler, link, clock=clock, preload=False, paced=True) as terminal:
        done = terminal.infer(frame).measurement
    assert time.perf_counter() - start < 5
    assert done.answered_by == "edge"
    assert done.compute_s >= 10
    assert done.upload_s < 0.01  # 18 ms at the rate of the beginning
    assert done.latency_s == pytest.approx(done.compute_s + done.upload_s + done.wait_s, abs=0.05)


def test_over_the_real_link_from_several_threads(bundle, profile, server, credentials):
    link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
    scheduler = Scheduler(profile, ENERGY, deadline_s=2.0)
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (40, 48, 80, 3), dtype=np.uint8)
    results = {}

    with Terminal(bundle, scheduler, link) as terminal:

        def use(indices):
            for index in indices:
                results[index] = terminal.infer(images[index])

        threads = [threading.Thread(target=use, args=(range(start, 40, 4),)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(results) == 40
    for index, result in results.items():
        expected = bundle.run(result.decision.point, (bundle.preprocess(images[index]),))[0]
        assert np.array_equal(result.output[0], expected)
    assert any(result.measurement.answered_by == "edge" for result in results.values())


def test_the_links_rate_is_learnt_from_what_crossed(bundle, profile, faulty, frame):
    with terminal_of(bundle, profile, faulty) as terminal:
        decision = terminal.infer(frame).decision
    assert decision.rate_bps == pytest.approx(1e7, rel=0.01)


def test_an_upload_is_told_from_the_edges_computing(bundle, faulty):
    watch = LinkMonitor(faulty, bundle.digest, LastUpload(), faulty.clock, PLAN, 1.0)
    watch.probe()
    crossing = watch.crossed(1.0, 1.5, 100_000, edge_s=0.3, upload_s=None)
    assert (crossing.start_s, crossing.end_s) == pytest.approx((1.0, 1.2))
    assert watch.estimate(1.5).rate_bps == pytest.approx(8 * 100_000 / 0.2)
    assert watch.crossed(2.0, 2.5, 100_000, edge_s=0.3, upload_s=0.1).end_s == 2.1


@pytest.mark.parametrize(("told_s", "upload_s"), [(-np.inf, 0.5), (-3.0, 0.5), (np.inf, 1e-3), (9.0, 1e-3)])
def test_what_the_edge_says_it_computed_is_believed_within_what_can_be(bundle, faulty, told_s, upload_s):
    watch = LinkMonitor(faulty, bundle.digest, HarmonicMean(), faulty.clock, PLAN, 1.0)
    for start_s in (1.0, 2.0):
        crossing = watch.crossed(start_s, start_s + 0.5, 100_000, told_s, None)
        assert crossing.end_s - start_s == pytest.approx(upload_s)
    assert watch.estimate(3.0).rate_bps == pytest.approx(8e5 / upload_s)


@pytest.mark.parametrize("edge_s", [-np.inf, np.inf, np.nan, -1.0])
def test_an_answer_whose_times_cannot_be_is_corrupted(bundle, profile, faulty, frame, edge_s):
    def spoilt(data):
        message = bundle.read(faulty.payload)
        return bundle.encode_answer(message, bundle.decode_answer(data, message.request)[1], edge_s=edge_s)

    with terminal_of(bundle, profile, faulty) as terminal:
        faulty.fault = spoilt
        assert terminal.infer(frame).measurement.failure == "corrupted"


def waking(bundle, faulty):
    radio = RadioPower("waking", promotion_s=0.26, tail_s=10.0)
    return LinkMonitor(faulty, bundle.digest, LastUpload(), faulty.clock, PLAN, 1.0, radio=radio)


@pytest.mark.parametrize(
    ("idle_s", "lasted_s", "told_s", "woken_s"),
    [
        (10.1, 0.36, None, 0.26),  # asleep: what is beyond the promotion is the upload
        (9.9, 0.36, None, 0.0),  # still awake
        (10.1, 0.2, None, 0.0),  # too short to hold a promotion: there was none
        (10.1, 0.265, None, 0.2385),  # promotions vary: a tenth is left
        (10.1, 0.36, 0.1, 0.0),  # the link knows better
    ],
)
def test_a_promotion_is_no_transfer(bundle, faulty, idle_s, lasted_s, told_s, woken_s):
    watch = waking(bundle, faulty)
    watch.crossed(0.0, 1.0, 100_000, 0.0, None)
    start_s = 1.0 + idle_s
    crossing = watch.crossed(start_s, start_s + lasted_s, 100_000, 0.0, told_s)
    upload_s = told_s or lasted_s - woken_s
    assert (crossing.start_s - start_s, crossing.end_s - crossing.start_s) == pytest.approx((woken_s, upload_s))
    assert watch.estimate(start_s).rate_bps == pytest.approx(8e5 / upload_s)


def test_a_promotion_before_a_timeout_is_no_sending(bundle, faulty):
    watch = waking(bundle, faulty)
    watch.crossed(0.0, 1.0, 100_000, 0.0, 0.01)
    crossing = watch.failed(LinkTimeoutError("late"), 20.0, 21.0, 100_000, edge_s=0.1)
    assert (crossing.start_s, crossing.end_s) == pytest.approx((20.26, 21.0))
    assert watch.estimate(21.0).rate_bps == pytest.approx(8e5 / 0.64)


@pytest.mark.parametrize(("known", "charged"), [(None, 100_000), (0, 0), (700, 700)])
def test_a_timeout_is_charged_the_bytes_that_crossed_where_the_link_knows_them(bundle, faulty, known, charged):
    watch = waking(bundle, faulty)
    assert watch.failed(LinkTimeoutError("late", known), 1.0, 1.5, 100_000, edge_s=0.1).payload_bytes == charged


def test_what_is_given_up_bounds_the_rate(bundle, faulty):
    watch = LinkMonitor(faulty, bundle.digest, LastUpload(), faulty.clock, PLAN, 1.0)
    watch.probe()
    watch.failed(LinkTimeoutError("late"), 1.0, 1.5, 100_000, edge_s=0.1)
    assert watch.estimate(1.5).rate_bps == pytest.approx(8 * 100_000 / 0.4)


def test_leaving_waits_for_a_probe_under_way(bundle, profile, server, credentials, frame):
    link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
    plan = ProbePlan(interval_s=0.0, longest_s=0.0)
    before = threading.active_count()
    with Terminal(bundle, Scheduler(profile, ENERGY, deadline_s=1.0, policy=Fixed(LOCAL)), link, plan=plan) as terminal:
        terminal.infer(frame)
    time.sleep(0.1)
    assert not [thread for thread in threading.enumerate() if thread.name == "adaedge-background"], before
