"""Base station and edge server: by hand, never in the terminal's joules."""

from __future__ import annotations

import math

import pytest

from adaedge.energy import BaseStation, ComputePower, EnergySplit, Infrastructure, Provenance
from adaedge.errors import EnergyError, SourceError
from adaedge.operating_point import Decision, OperatingPoint
from adaedge.report import energy_everywhere, summarize
from adaedge.runtime.record import FrameRecord, Measurement


def test_a_base_station_by_hand():
    station = BaseStation(unit_w=2.0, uplink_bps=1e8, downlink_bps=1e9)
    # 1 Mbit up: 10 ms at (110 − 55) · 2 W; down: 1 ms at (280 − 55) · 2 W.
    assert station.uplink_j(125_000) == pytest.approx(1.1)
    assert station.downlink_j(125_000) == pytest.approx(0.45)
    assert station.provenance is Provenance.ASSUMED


def test_a_run_by_hand_and_the_terminals_joules_stay_its_own():
    infrastructure = Infrastructure(BaseStation(unit_w=2.0, uplink_bps=1e8, downlink_bps=1e9), ComputePower(50.0))
    decision = Decision(OperatingPoint("input"), latency_s=0.1, energy_j=0.1)
    sent = Measurement(0.1, 0.0, payload_bytes=125_000, answer_bytes=125_000, edge_s=0.01, energy=EnergySplit(1.0))
    local = Measurement(0.1, 0.1, energy=EnergySplit(compute_j=3.0))
    records = [FrameRecord(index, 0.0, 0.2, decision, one) for index, one in enumerate((sent, local))]
    found = energy_everywhere(records, infrastructure)
    assert (found.terminal_j, found.base_station_j, found.edge_server_j) == pytest.approx((2.0, 0.775, 0.25))
    assert found.global_j == pytest.approx(3.025)
    assert summarize(records).energy_j_per_frame == found.terminal_j
    with pytest.raises(SourceError, match="there are no records of frames"):
        energy_everywhere([])


@pytest.mark.parametrize(
    "figures", [{"unit_w": -1.0}, {"sending": math.nan}, {"receiving": 10.0}, {"uplink_bps": 0.0}, {"unit_w": None}]
)
def test_a_base_station_that_cannot_be_is_refused(figures):
    with pytest.raises(EnergyError, match=next(iter(figures)) + "|a base station draws more"):
        BaseStation(**figures)
