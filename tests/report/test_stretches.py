"""What was chosen along a run, and why."""

from dataclasses import replace

import pytest

from adaedge.report import stretches as room
from adaedge.report.stretches import stretches


def test_frames_at_one_point_are_one_row_with_what_they_sent_on_average(make):
    records = [make.frame(0), make.offloaded(1), make.offloaded(2, payload_bytes=7_500), make.frame(3)]
    columns, rows = stretches(records)
    assert [column.name for column in columns][:2] == ["frames", "operating point"]
    assert [row[0] for row in rows] == ["0", "1 to 2", "3"]
    assert rows[1][3:5] == ["10.00", "0.0720"]


def test_the_reasons_and_the_change_are_those_of_the_decisions(make):
    records = [make.offloaded(index) for index in range(3)]
    changes = (1.0, 0.02, 0.04)
    records = [
        replace(record, decision=replace(record.decision, change=change, reasons=(f"reason {record.index}", "more")))
        for record, change in zip(records, changes, strict=True)
    ]
    ((_, _, changed, *_, why),) = stretches(records)[1]
    assert (changed, why) == ("4.0", "reason 0; more")


def test_of_many_stretches_the_longest_are_listed_in_their_order(make, monkeypatch):
    monkeypatch.setattr(room, "SHOWN", 2)
    records = [make.frame(0), make.offloaded(1), make.offloaded(2), make.frame(3), make.offloaded(4), make.offloaded(5)]
    assert [row[0] for row in stretches(records)[1]] == ["1 to 2", "4 to 5"]


@pytest.mark.parametrize("count", [1, 4])
def test_a_run_at_one_point_is_one_row(make, count):
    assert len(stretches([make.frame(index) for index in range(count)])[1]) == 1
