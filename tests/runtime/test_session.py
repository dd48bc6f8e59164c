import json

import numpy as np
import pytest

from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, EnergySplit, presets
from adaedge.errors import SourceError
from adaedge.operating_point import Decision, OperatingPoint
from adaedge.runtime import (
    EdgeSession,
    FrameRecord,
    ManualClock,
    Measurement,
    ReplayLink,
    Terminal,
    read_records,
    run,
    write_records,
)
from adaedge.scheduling import Scheduler

LOCAL = OperatingPoint("output")
ENERGY = EnergyModel(ComputePower(3.7), presets.WIFI_2012)


@pytest.fixture
def terminal(bundle, profile):
    link = ReplayLink(Trace((0.0, 1e6), (1e6, 1e6)), EdgeSession(bundle).answer, ManualClock())
    scheduler = Scheduler(profile, ENERGY, deadline_s=0.1, period_s=0.2)
    with Terminal(bundle, scheduler, link, clock=link.clock, preload=False) as entered:
        yield entered


def test_a_record_for_each_frame_paced_by_the_clock(terminal, bundle, frame):
    images = [np.roll(frame, shift, axis=0) for shift in range(5)]
    records = list(run(terminal, images))
    assert [record.index for record in records] == list(range(5))
    assert [record.time_s for record in records] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    for image, record in zip(images, records, strict=True):
        assert record.answer == int(bundle.run(record.decision.point, (image[None],))[0].argmax())
        assert record.deadline_s == 0.1
        assert not record.missed


def test_a_frame_is_taken_when_its_time_has_come_and_not_before(terminal, frame):
    def camera():
        for _ in range(4):
            taken_s.append(terminal.clock.now_s() - begin_s)
            terminal.clock.sleep_until(terminal.clock.now_s() + 0.01)  # the exposure
            yield frame

    taken_s, begin_s = [], terminal.clock.now_s()
    records = list(run(terminal, camera()))
    assert taken_s == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert [record.time_s for record in records] == pytest.approx([0.01, 0.21, 0.41, 0.61])


def test_a_run_that_falls_behind_drops_nothing(terminal, frame):
    records = list(run(terminal, [frame] * 5, period_s=0.001))
    starts = [record.time_s for record in records]
    ends = [record.time_s + record.measurement.latency_s for record in records]
    assert len(records) == 5
    assert all(start >= end - 1e-9 for start, end in zip(starts[1:], ends, strict=False))


def test_what_a_source_yields_before_it_breaks_is_recorded(terminal, frame):
    def breaking():
        yield frame
        yield frame
        raise SourceError("clip.mp4 breaks off after 2 frames")

    records = []
    with pytest.raises(SourceError, match="breaks off"):
        records.extend(run(terminal, breaking()))
    assert len(records) == 2


def test_records_are_written_and_read_back(terminal, frame, tmp_path):
    records = list(run(terminal, [frame] * 3))
    write_records(records, tmp_path / "run.jsonl")
    assert list(read_records(tmp_path / "run.jsonl")) == records
    assert (tmp_path / "run.jsonl").read_text().count("\n") == 3


def test_a_record_of_before_probes_were_told_apart_is_read(terminal, frame):
    (record,) = run(terminal, [frame])
    line = json.loads(record.to_json())
    assert line["measurement"].pop("probe_bytes") > 0
    assert FrameRecord.from_json(json.dumps(line)).measurement.probe_bytes == 0


def test_a_record_takes_the_joules_of_the_last_tail(terminal, frame):
    (record,) = run(terminal, [frame])
    assert record.plus(EnergySplit(tail_j=2.0)).measurement.energy.tail_j == record.measurement.energy.tail_j + 2.0


@pytest.mark.parametrize("line", ["", "[]", "{}", "nonsense", '{"index": 0}'])
def test_a_line_that_is_no_record_is_refused(line):
    with pytest.raises(SourceError, match="this line is not the record of a frame"):
        FrameRecord.from_json(line)


def test_records_that_cannot_be_read_are_told(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the records .*none\.jsonl"):
        list(read_records(tmp_path / "none.jsonl"))


def test_a_line_that_was_cut_off_loses_no_other(tmp_path):
    decision = Decision(OperatingPoint("output"), 0.1, 0.2)
    records = [FrameRecord(index, 0.1 * index, 1.0, decision, Measurement(0.1, 0.1)) for index in range(3)]
    path = tmp_path / "run.jsonl"
    write_records(records, path)
    path.write_text(path.read_text()[:-40])
    with pytest.warns(UserWarning, match=r"run\.jsonl, line 3 was cut off and is left out"):
        assert list(read_records(path)) == records[:2]
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(SourceError, match=r"run\.jsonl, line 1: this line is not the record"):
        list(read_records(path))
