import pytest

from adaedge.energy import ComputePower
from adaedge.errors import EnergyError, ScheduleError, TraceError
from adaedge.matrix import SCENARIOS, TERMINALS, Terminal, link_named, scenario_named
from adaedge.operating_point import KEPT, Cost, OperatingPoint, Profile

LOCAL, INT8 = OperatingPoint("output"), OperatingPoint("output", precision="int8")
VIDEO, CUT = OperatingPoint("input", codec="h264@20"), OperatingPoint("b", codec="u4")
CHANGE_S = 0.001
HERE = Profile(
    {
        KEPT: Cost(CHANGE_S, accuracy=None),
        VIDEO: Cost(CHANGE_S, 0.004, 900, 0.002, 0.010, 40, 0.010),
        CUT: Cost(0.004 + CHANGE_S, 0.002, 300, 0.001, 0.006, 40, 0.006),
        LOCAL: Cost(0.010 + CHANGE_S),
        INT8: Cost(0.005 + CHANGE_S),
    },
    "",
    "here",
    "here",
)


def board(**more):
    return Terminal("board", ComputePower(2.0, macs_per_s=1e9), slower_in_fp32=3.0, cpu_macs_per_s=2.5e8, **more)


def test_seconds_by_hand():
    """100 MMAC: int8 takes 0.1 s, fp32 0.3; the cores, 0.4 s for 0.01 here, are 40 times slower."""
    there = board().profile(HERE, 1e8, prepare_s=0.003)
    own_s = 40 * (CHANGE_S + 0.003)
    assert there[INT8].head_s == pytest.approx(0.1 + own_s)
    assert there[LOCAL].head_s == pytest.approx(0.3 + own_s)
    assert there[CUT].head_s == pytest.approx(0.12 + own_s)
    assert there[CUT].encode_s == pytest.approx(0.08)
    assert there[CUT].finish_s == pytest.approx(0.18)
    assert there[KEPT].head_s == pytest.approx(40 * CHANGE_S), "a kept answer prepares nothing"
    assert (there[CUT].decode_s, there[CUT].tail_s) == (0.001, 0.006), "the edge server is this machine"
    assert there[CUT].payload_bytes == 300


def test_video_in_hardware_takes_joules_by_the_pixel():
    there = board(video_in_hardware=True).profile(HERE, 1e8, pixels=50_000)
    assert 2.0 * there[VIDEO].encode_s == pytest.approx(50_000 * 4e-9)
    assert board().profile(HERE, 1e8, pixels=50_000)[VIDEO].encode_s == pytest.approx(0.16)


def test_without_int8_its_time_follows_from_fp32():
    fp32 = Profile({LOCAL: Cost(0.010)}, "", "here", "here")
    assert board().profile(fp32, 1e8)[LOCAL].head_s == pytest.approx(0.3)


def test_the_terminals_have_the_figures_of_the_presets():
    for name, terminal in TERMINALS.items():
        assert terminal.name == name
        assert terminal.compute.macs_per_s is not None


def test_what_is_not_known_is_said():
    with pytest.raises(EnergyError, match="no terminal 'toaster'; there are: raspberry-pi-4"):
        Terminal.named("toaster")
    with pytest.raises(EnergyError, match=r"this one has 0\. Build the bundle with `adaedge build`"):
        board().profile(HERE, 0.0)
    with pytest.raises(ScheduleError, match="no scenario 'tea'; there are: robot-video"):
        scenario_named("tea")


def test_links_by_name(tmp_path):
    assert link_named("umi-walk").mean_bps == link_named("umi-walk").mean_bps > 1e6
    assert link_named("umi-walk").mean_bps != link_named("umi-blocked").mean_bps
    (tmp_path / "own.csv").write_text("time_s,uplink_mbps\n0,24\n1,8\n")
    assert link_named(str(tmp_path / "own.csv")).mean_bps == 16e6
    for wrong in ("0mbps", "-3mbps", "quickmbps", "nanmbps"):
        with pytest.raises(TraceError, match=f"written as 4mbps; got '{wrong}'"):
            link_named(wrong)
    with pytest.raises(TraceError, match=r"no link 'none\.csv': name a file, a rate such as 4mbps, or one of umi-walk"):
        link_named("none.csv")


def test_scenarios_name_their_clause():
    for scenario in SCENARIOS.values():
        assert "TS 22.261 Table 7.10.1-1" in scenario.clause or "TR 22.874" in scenario.clause
        assert "assumed" in scenario.clause
        assert scenario.limits(0.5).deadline_s == scenario.deadline_s
