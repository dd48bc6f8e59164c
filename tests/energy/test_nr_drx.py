"""NrDrx: TR 38.840's figures, each formula by hand, and a sequence of frames against a simulation in small steps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.energy import (
    FR1,
    FR2,
    NR_DRX,
    NR_DRX_FAST_RELEASE,
    NR_LOW_BAND,
    RADIOS,
    ComputePower,
    EnergyMeter,
    EnergyModel,
    NrDrx,
    Provenance,
    calibrate,
)
from adaedge.errors import EnergyError

UNIT = 1e-3  # of the radios below: one unit second is 1 mJ
HAND = NrDrx("by hand", unit_w=UNIT)


def test_the_figures_of_tr_38_840():
    assert (FR1.deep.units, FR1.light.units, FR1.micro.units) == (1, 20, 45)
    assert (FR1.listening, FR1.measuring, FR1.receiving) == (100, 100, 300)
    assert (FR1.sending(0), FR1.sending(23)) == (250, 700)
    assert (FR2.deep.units, FR2.light.units, FR2.micro.units) == (1, 20, 45)
    assert (FR2.listening, FR2.measuring, FR2.receiving) == (175, 175, 350)
    assert (FR2.sending(0), FR2.sending(23)) == (350, 350)
    for slots in (FR1, FR2):
        # units times milliseconds, and milliseconds
        transitions = [(1e3 * sleep.transition_unit_s, 1e3 * sleep.transition_s) for sleep in slots_sleeps(slots)]
        assert transitions == [(450, 20), (100, 6), (0, 0)]


def slots_sleeps(slots):
    return slots.deep, slots.light, slots.micro


@pytest.mark.parametrize(("mhz", "factor"), [(100, 1.0), (80, 0.85), (60, 0.7), (40, 0.55), (20, 0.4), (10, 0.325)])
def test_a_narrower_receiver_draws_less(mhz, factor):
    scaled = FR1.scaled(bandwidth_hz=mhz * 1e6)
    assert (scaled.listening, scaled.measuring, scaled.receiving) == pytest.approx(
        (100 * factor, 100 * factor, 300 * factor)
    )
    assert (scaled.sending(23), scaled.deep, scaled.micro) == (700, FR1.deep, FR1.micro)
    assert FR1.scaled(bandwidth_hz=20e6).scaled(bandwidth_hz=mhz * 1e6).receiving == pytest.approx(300 * factor)


def test_each_halving_of_antennas_takes_three_tenths():
    assert FR1.scaled(antennas=2).receiving == pytest.approx(210)
    assert FR1.scaled(antennas=1).receiving == pytest.approx(147)
    assert FR2.scaled(antennas=1).listening == pytest.approx(122.5)
    assert FR1.scaled(bandwidth_hz=20e6, antennas=2).listening == pytest.approx(28)


@pytest.mark.parametrize(
    ("scaling", "text"),
    [
        ({"bandwidth_hz": 5e6}, "scales bandwidths of 10 to 100 MHz; got 5 MHz"),
        ({"bandwidth_hz": 400e6}, "got 400 MHz"),
        ({"antennas": 3}, "receive antennas are halved, from 4; got 3"),
        ({"antennas": 8}, "receive antennas are halved, from 4; got 8"),
        ({"antennas": 0}, "got 0"),
    ],
)
def test_a_receiver_that_the_report_does_not_know_is_refused(scaling, text):
    with pytest.raises(EnergyError, match=text):
        FR1.scaled(**scaling)


def test_the_kind_of_sleep_is_the_cheapest_that_fits():
    # 10 ms: light 20 · 10 + 100 = 300 unit ms, micro 450; 20 ms: deep 20 + 450 = 470, light 500.
    assert [FR1.sleep(1e-3 * ms).units for ms in (3, 6, 10, 19, 20, 500)] == [45, 20, 20, 20, 1, 1]


# By hand, with a unit of 1 mW: joules above deep sleep, so 99 mW while it listens.


def test_falling_asleep_by_hand():
    assert HAND.idle_j(0.0, 0.1) == pytest.approx(0.0099)  # the inactivity timer: 100 ms at 99 mW
    # One cycle: 450 unit ms of transition, 152 ms of deep sleep at nothing, 8 ms at 99 mW.
    cycle_j = 0.45e-3 + 0.008 * 0.099
    assert HAND.idle_j(0.1, 0.26) == pytest.approx(cycle_j)
    # (10 − 0.1) / 0.16 = 61.875: 61 cycles, and of the last 140 of its 152 ms of sleep, the ramp of 10 ms not begun.
    assert HAND.idle_j(0.0, math.inf) == pytest.approx(0.0099 + 61 * cycle_j + 0.225e-3, rel=1e-9)
    assert HAND.idle_j(10.0, 1e6) == 0
    assert HAND.settled_s == 10


def test_waking_by_hand():
    assert (HAND.ready_s(0.05), HAND.ready_j(0.05)) == (0, 0)
    assert HAND.ready_s(0.15) == pytest.approx(0.010)  # half of deep sleep's transition time
    assert HAND.ready_j(0.15) == pytest.approx(0.225e-3)  # and the half of its energy that is left
    assert HAND.ready_s(0.247) == pytest.approx(0.005)  # it is waking anyway, and has paid half of that half
    assert HAND.ready_j(0.247) == pytest.approx(0.1125e-3)
    assert HAND.ready_s(0.255) == 0  # on-duration
    # From RRC inactive: deep sleep's transition, then 50 ms, a tenth of them at 699 mW, else 99 mW.
    assert HAND.ready_s(20.0) == HAND.wake_s == pytest.approx(0.050)
    assert HAND.wake_j == pytest.approx(0.45e-3 + 0.05 * (0.1 * 0.699 + 0.9 * 0.099))
    forgotten = replace(HAND, inactive_s=30.0)
    assert (forgotten.ready_s(39.9), forgotten.ready_s(40.1), forgotten.wake_s) == pytest.approx((0.05, 0.26, 0.26))
    assert forgotten.wake_j == pytest.approx(0.45e-3 + 0.26 * (0.1 * 0.699 + 0.9 * 0.099))


def test_transfers_by_hand():
    assert HAND.uplink_j(12_500, 1e6) == pytest.approx(0.1 * 0.699)
    assert HAND.downlink_j(12_500, 1e6) == pytest.approx(0.1 * 0.299)
    assert replace(HAND, transmit_dbm=0.0).uplink_j(12_500, 1e6) == pytest.approx(0.1 * 0.249)
    assert HAND.sending_j(0, 2.0) == pytest.approx(2 * 0.699)


def test_a_late_answer_waits_for_the_next_on_duration():
    assert HAND.hold_s(0.09) == 0
    assert HAND.hold_s(0.15) == pytest.approx(0.102)  # the on-duration begins at 0.1 + 0.152 s
    assert HAND.hold_s(0.255) == 0
    assert HAND.hold_s(0.30) == pytest.approx(0.112)
    # Waiting for 150 ms: the timer, then sleep; what wakes it at 252 ms has been paid by then.
    assert HAND.wait_j(0.252) == pytest.approx(0.0099 + 0.45e-3)
    assert HAND.wait_j(0.15) == pytest.approx(0.0099 + 0.45e-3), "given up in its sleep: it must wake as well"
    assert HAND.listen_w * 0.09 == pytest.approx(HAND.wait_j(0.09))
    # Released after 10 s, it is paged 1.28 s later at the latest, and resumes.
    assert HAND.hold_s(10.28) == pytest.approx(1.0 + 0.05)
    with_assistance = replace(HAND, assisted_release_s=0.04)
    assert with_assistance.hold_s(0.15) == pytest.approx(0.102), "it asks for no release while it waits"


def test_release_assistance_ends_the_tail_at_once():
    assert replace(HAND, assisted_release_s=0.04).idle_j(0.0, math.inf) == pytest.approx(0.04 * 0.099)
    assert NR_DRX_FAST_RELEASE.idle_j(0, math.inf) < 0.06 * NR_DRX.idle_j(0, math.inf)
    assert NR_DRX.idle_j(0, math.inf) == pytest.approx(0.28, abs=0.01)
    assert NR_LOW_BAND.idle_j(0, math.inf) == pytest.approx(2.65)


def test_paging_is_what_idle_is():
    assert HAND.paging_w == pytest.approx(UNIT * (0.45 + 0.15) / 1.28)


def test_awake_anyway_only_what_is_added_counts():
    awake = replace(HAND, awake=True)
    assert awake.idle_j(0.0, math.inf) == awake.wait_j(3.0) == awake.hold_s(0.15) == awake.ready_s(math.inf) == 0
    assert awake.idle_j(math.inf, math.inf) == awake.wake_j == awake.wake_s == awake.listen_w == 0
    assert awake.uplink_j(12_500, 1e6) == pytest.approx(0.1 * 0.600)
    assert awake.downlink_j(12_500, 1e6) == pytest.approx(0.1 * 0.200)


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"cycle_s": 0.005}, r"a DRX cycle holds its on-duration; got cycle_s=0.005, on_s=0.008"),
        ({"cycle_s": 0.0, "on_s": 0.0}, "cycle_s is a number of seconds above 0"),
        ({"on_s": None}, "on_s is a finite number, at least 0, above idle; got None"),
        ({"unit_w": -1e-3}, "unit_w is a finite number"),
        ({"inactivity_s": math.nan}, "inactivity_s is a finite number"),
        ({"release_s": math.inf}, "release_s is a finite number"),
        ({"release_s": 1e5}, "release_s is at most 10000 DRX cycles"),
        ({"assisted_release_s": -1.0}, "assisted_release_s is a finite number"),
        ({"resume_s": -1.0}, "resume_s is a finite number"),
        ({"inactive_s": -1.0}, "inactive_s is a finite number"),
        ({"paging_s": 0.0}, "paging_s is a number of seconds above 0"),
        ({"transmit_dbm": 33.0}, "transmit_dbm is from 0 to 23"),
        ({"provenance": {"tail_s": Provenance.PRESET}}, "an NrDrx has no figure tail_s"),
    ],
)
def test_a_radio_that_cannot_be_is_refused(figures, text):
    with pytest.raises(EnergyError, match=text):
        NrDrx(**figures)


@pytest.mark.parametrize("figures", [{"receiving": -3.0}, {"listening": None}, {"listening": 0.5}])
def test_slot_powers_that_cannot_be_are_refused(figures):
    with pytest.raises(EnergyError, match=next(iter(figures))):
        replace(FR1, **figures)


def test_its_watts_are_calibrated_by_one_number():
    base = EnergyModel(ComputePower(4.0), HAND)
    # 700 units less deep sleep's one: 1.398 W above idle, twice as much as assumed.
    found = calibrate(base, idle_w=2.0, uplink=[(1e6, 3.398)]).radio
    assert found.unit_w == pytest.approx(2e-3)
    assert found.provenance["unit_w"] is Provenance.CALIBRATED
    assert "watts per unit calibrated" in found.describe()
    both = calibrate(base, idle_w=0.0, uplink=[(1e6, 0.699)], downlink=[(1e6, 0.299), (5e6, 0.299)]).radio
    assert both.unit_w == pytest.approx(1e-3)
    with pytest.raises(EnergyError, match="has no promotion and no tail to read"):
        calibrate(base, idle_w=2.0, tail=(1.0, 2.5))


@pytest.mark.parametrize("radio", RADIOS.values(), ids=list(RADIOS))
def test_every_radio_takes_arrays_and_adds_up(radio):
    times = np.array([0.0, 0.05, 0.13, 0.3, 5.0, 9.99, 11.0, 60.0])
    for method in (radio.ready_s, radio.ready_j, radio.wait_j, lambda t: radio.idle_j(0.0, t)):
        assert np.broadcast_to(method(times), times.shape) == pytest.approx([method(float(t)) for t in times])
    assert np.broadcast_to(radio.hold_s(times), times.shape) == pytest.approx([radio.hold_s(float(t)) for t in times])
    assert (np.diff(radio.idle_j(0.0, times)) >= 0).all()
    for middle_s in times:
        parts_j = radio.idle_j(0.0, float(middle_s)) + radio.idle_j(float(middle_s), math.inf)
        assert parts_j == pytest.approx(radio.idle_j(0.0, math.inf))
    assert radio.idle_j(radio.settled_s, math.inf) == pytest.approx(0.0, abs=1e-12)
    assert (radio.ready_s(math.inf), radio.ready_j(math.inf)) == (radio.wake_s, radio.wake_j)
    waited_s = min(0.99 * radio.listen_s, 5.0)
    assert radio.wait_j(waited_s) == pytest.approx(radio.listen_w * waited_s)


# A simulation in steps of 0.1 ms, which knows the states by name and nothing of the sums above.

TICK_S = 1e-4


class Ticking:
    """A terminal tick by tick: what it draws, above deep sleep, in joules."""

    def __init__(self, radio):
        self.radio, self.joules = radio, 0.0
        self.since = math.inf  # ticks since the last packet; infinite where none was

    def _draw(self, units):
        self.joules += self.radio.unit_w * (units - 1) * TICK_S

    def _state(self, released):
        """Units of one tick, and what is left of the transition of a sleep that is under way, in unit seconds."""
        ticks = {name: round(getattr(self.radio, name) / TICK_S) for name in ("cycle_s", "on_s", "inactivity_s")}
        if self.since >= released:
            return 1.0, None
        late = self.since - ticks["inactivity_s"]
        if late < 0:
            return 100.0, 0.0
        pause = ticks["cycle_s"] - ticks["on_s"]
        place = late % ticks["cycle_s"]
        if place >= pause:
            return 100.0, 0.0
        kinds = {"deep": (1.0, 0.45, 200), "light": (20.0, 0.1, 60), "micro": (45.0, 0.0, 0)}
        fits = [kind for kind in kinds.values() if kind[2] <= pause]
        units, energy, ramps = min(fits, key=lambda kind: kind[0] * pause * TICK_S + kind[1])
        if not ramps:
            return units, 0.0
        half = ramps // 2
        if place < half:
            return units + energy / 2 / (half * TICK_S), energy * (1 - place / ramps)
        if place < pause - half:
            return units, energy / 2
        return units + energy / 2 / (half * TICK_S), energy / 2 * (pause - place) / half

    def idle(self, ticks, *, awaiting=False):
        radio = self.radio
        asked = math.inf if awaiting or radio.assisted_release_s is None else radio.assisted_release_s
        released = round(min(radio.release_s, asked) / TICK_S)
        for _ in range(ticks):
            self._draw(self._state(released)[0])
            self.since += 1
        return self._state(released)[1]

    def wake(self, left):
        """Pay for waking: the rest of a sleep's transition, or a new connection."""
        if left is None:
            self.joules += self.radio.unit_w * 0.45
            for tick in range(round(self.radio.resume_s / TICK_S)):
                self._draw(700.0 if tick % 10 == 0 else 100.0)
        else:
            self.joules += self.radio.unit_w * left

    def packet(self, ticks, units):
        for _ in range(ticks):
            self._draw(units)
        self.since = 0


frames = st.lists(
    st.tuples(st.integers(1, 30_000), st.integers(1, 3_000), st.integers(0, 4_000), st.integers(0, 300)),
    min_size=1,
    max_size=6,
)
RADIOS_TO_TICK = [
    HAND,
    replace(HAND, assisted_release_s=0.04),
    replace(HAND, cycle_s=0.32, on_s=0.01, inactivity_s=0.08, release_s=0.9),
    replace(HAND, cycle_s=0.04, on_s=0.004, inactivity_s=0.01, release_s=0.5),
    replace(HAND, cycle_s=0.012, on_s=0.002, inactivity_s=0.005, release_s=0.2),
    replace(HAND, cycle_s=0.005, on_s=0.002, inactivity_s=0.005, release_s=0.2),
]


@settings(deadline=None, max_examples=10)
@given(frames, st.sampled_from(RADIOS_TO_TICK))
def test_a_sequence_of_frames_is_what_small_steps_say(sequence, radio):
    meter, ticking = EnergyMeter(EnergyModel(ComputePower(0.0), radio)), Ticking(radio)
    metered_j, now = 0.0, 0
    for pause, sending, waiting, receiving in sequence:
        ticking.wake(ticking.idle(pause))
        ticking.packet(sending, 700.0)
        ticking.wake(ticking.idle(waiting, awaiting=True))
        ticking.packet(receiving, 300.0)
        begin, sent, end = now + pause, now + pause + sending, now + pause + sending + waiting + receiving
        upload = (begin * TICK_S, sent * TICK_S, 8 * sending)
        answer_bytes = 8 * receiving  # at the upload's rate, so long
        spent = meter.frame(now * TICK_S, 0.0, [upload], waiting * TICK_S, answer_bytes, end_s=end * TICK_S)
        metered_j, now = metered_j + spent.total_j, end
    ticking.idle(round(radio.release_s / TICK_S) + 1_000)
    metered_j += meter.close(now * TICK_S + 11.0).total_j
    assert metered_j == pytest.approx(ticking.joules, rel=1e-3)
