from dataclasses import replace

import pytest

from adaedge.channel import Trace
from adaedge.energy import NR_DRX, ComputePower, EnergyModel
from adaedge.matrix import TERMINALS, Bench, Cell, Terminal, cells, link_named, scenario_named
from adaedge.matrix.techniques import ALL, JPEG, LOCAL, MODES, NONE, PARTIAL, VIDEO
from adaedge.metrics import Divergence
from adaedge.operating_point import KEPT, OperatingPoint

FRAMES = 24
# Slow enough that a whole frame is worth sending, quick enough that a local run is in time.
BOARD = Terminal("board", ComputePower(8.0, macs_per_s=2e9), slower_in_fp32=2.0, cpu_macs_per_s=1e12)


def bench(network, played, terminal=BOARD, scenario="robot-video"):
    return Bench(network, played, terminal, scenario_named(scenario))


def cell(network, played, link="20mbps", **more):
    return Cell(bench(network, played, **more), "nr-drx", NR_DRX, link, link_named(link), FRAMES)


@pytest.fixture(scope="module")
def rows(network, played):
    return {row.mode_or_technique: row for row in cell(network, played).rows()}


def test_every_mode_and_technique_that_the_bundle_has_is_a_row(rows):
    assert set(rows) == {*MODES, NONE, ALL, "kept answers", "video codecs", "dynamic partition"}
    for row in rows.values():
        assert row.cell == ("tiny", "made", "robot-video", "board", "nr-drx", "20mbps")
        assert row.metric == "divergence"
        assert row.energy_j == pytest.approx(row.compute_j + row.radio_j)
        wanted = {"network", "clip", "terminal", "radio", "link", "mode_or_technique", "energy_j", "accuracy", "metric"}
        assert wanted | {"misses"} <= set(row.as_dict())


def test_always_local_takes_its_seconds_times_watts(network, played, rows):
    costs = bench(network, played).believed
    assert rows[LOCAL].energy_j == pytest.approx(8.0 * costs[OperatingPoint("output")].head_s)
    assert rows[LOCAL].predicted_j == pytest.approx(rows[LOCAL].energy_j)
    assert rows[LOCAL].accuracy == 1.0
    assert (rows[LOCAL].bytes_per_frame, rows[LOCAL].computed) == (0, 1.0)


def test_a_mode_sends_what_the_second_half_sends_not_the_first(network, played, rows):
    point = OperatingPoint.parse(rows[JPEG].point)
    sent = played.second.payloads[point].mean()
    assert abs(sent - played.first.payloads[point].mean()) > 2
    assert rows[JPEG].bytes_per_frame == pytest.approx(sent, abs=1)


def test_the_answers_of_a_run_are_judged_as_they_were_measured(network, played, rows):
    half, point = played.second, OperatingPoint.parse(rows[JPEG].point)
    frames = range(FRAMES)
    expected, given = ([half.answer(one, at) for at in frames] for one in (OperatingPoint("output"), point))
    assert rows[JPEG].accuracy == pytest.approx(Divergence().score(expected, given).value)


def test_a_kept_answer_is_that_of_the_frame_that_it_was_computed_for(network, played):
    one = cell(network, played)
    records = one.run("kept answers")
    held = [record for record in records if record.decision.point == KEPT]
    assert held, "frames stand still"
    half, expected, given = played.second, [], []
    for record in records:
        source = records[record.measurement.kept_from] if record.decision.point == KEPT else record
        while source.decision.point == KEPT:
            source = records[source.measurement.kept_from]
        expected.append(half.answer(OperatingPoint("output"), record.index))
        given.append(half.answer(source.decision.point, source.index))
    assert one.bench.score(records) == pytest.approx(Divergence().score(expected, given).value)
    local = one.run(LOCAL)
    assert sum(r.measurement.energy.total_j for r in records) < sum(r.measurement.energy.total_j for r in local)


def test_on_a_dead_link_every_mode_falls_back_and_answers_as_the_network_itself(network, played):
    one = replace(cell(network, played), link="dead", trace=Trace([0.0], [1e3]))
    rows = {row.mode_or_technique: row for row in one.rows()}
    for mode in (JPEG, VIDEO, PARTIAL):
        assert rows[mode].accuracy == 1.0, "each was finished locally"
        assert rows[mode].energy_j > rows[LOCAL].energy_j
        assert rows[mode].misses <= 0.05
    assert rows[ALL].energy_j < min(rows[mode].energy_j for mode in (JPEG, VIDEO, PARTIAL)), "it stops trying"


def test_a_network_that_nobody_judges_counts_for_its_cost_only(network, played):
    rows = cell(replace(network, metric=None, floor=0.0), played).rows()
    assert {row.accuracy for row in rows} == {None}
    assert {row.metric for row in rows} == {"cost only: random weights"}
    assert all(row.keeps_floor is None for row in rows)
    assert "kept answers" not in {row.mode_or_technique for row in rows}, "without a floor none is kept"


def test_where_no_point_of_a_mode_keeps_the_floor_it_says_so(network, played):
    point = OperatingPoint("input", codec="jpeg@90")
    wrong = {**played.first.answers, point: tuple(-50 * one for one in played.first.answers[point])}
    other = replace(played, first=replace(played.first, answers=wrong))
    rows = {row.mode_or_technique: row for row in cell(replace(network, floor=0.9), other).rows()}
    assert rows[JPEG].chosen_to_keep_floor is False
    assert rows[LOCAL].chosen_to_keep_floor is True
    assert point not in {record.decision.point for record in cell(replace(network, floor=0.9), other).run(ALL)}


def test_a_mode_picks_the_cheapest_in_a_stream_that_keeps_the_floor(network, played, rows):
    one = bench(network, played)
    video = OperatingPoint.parse(rows[VIDEO].point)
    assert one.believed[video].meets(network.floor)
    assert one.workloads.steady[video].payload_bytes < one.believed[video].payload_bytes / 1.5, "not a refresh"


def test_cells_are_all_combinations(network, played):
    links = {name: link_named(name) for name in ("4mbps", "20mbps")}
    made = [
        *cells(
            network, played, scenario_named("robot-video"), [BOARD, TERMINALS["phone-npu"]], {"nr-drx": NR_DRX}, links
        )
    ]
    assert [(one.bench.terminal.name, one.link) for one in made] == [
        ("board", "4mbps"),
        ("board", "20mbps"),
        ("phone-npu", "4mbps"),
        ("phone-npu", "20mbps"),
    ]
    assert made[0].bench is made[1].bench
    assert made[0].energy == EnergyModel(BOARD.compute, NR_DRX)


def test_a_run_of_what_the_bundle_has_not_is_an_error(network, played):
    with pytest.raises(KeyError, match="students"):
        cell(network, played).run("students")
