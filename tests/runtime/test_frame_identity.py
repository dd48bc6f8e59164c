"""A frame has one name: in the terminal's record, and in what the edge server logs of it."""

from __future__ import annotations

import json
import logging

import pytest

from adaedge.cli.operate import _log_to_stderr
from adaedge.energy import EnergyModel, presets
from adaedge.errors import RefusedError
from adaedge.operating_point import Decision, OperatingPoint
from adaedge.payload import pack
from adaedge.runtime import Measurement, NoLink, Terminal
from adaedge.runtime.frame_identity import frame_id, trace_id
from adaedge.runtime.json_logs import JsonFormatter, about_frame
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import Scheduler

ENERGY = EnergyModel(presets.RASPBERRY_PI_4, presets.WIFI_2012)


@pytest.fixture
def lines(caplog):
    """What a server logs, as JSON."""
    caplog.set_level(logging.DEBUG, "adaedge.runtime")
    return lambda: [json.loads(JsonFormatter().format(record)) for record in caplog.records]


def test_the_record_and_the_log_name_a_frame_alike(bundle, profile, link, frame, lines):
    scheduler = Scheduler(profile, ENERGY, deadline_s=5.0)
    with Terminal(bundle, scheduler, link) as terminal:
        names = [terminal.infer(frame).measurement.frame_id for _ in range(3)]
    answered = [line for line in lines() if line["message"].startswith("answered")]
    assert [line["frame_id"] for line in answered] == names
    assert len(set(names)) == 3
    assert [line["trace_id"] for line in answered] == [*map(trace_id, names)]
    assert {line["point"] for line in answered} == {"relu/w1/fp32/u8"}
    assert all(line["terminal"] for line in answered)


def test_a_frame_that_stays_here_has_no_name(bundle, profile, frame):
    local = OperatingPoint("output")
    alone = type(profile)({local: profile[local]}, bundle.digest, "", "")
    with Terminal(bundle, Scheduler(alone, ENERGY, deadline_s=5.0), NoLink()) as terminal:
        measured = terminal.infer(frame).measurement
    assert measured.frame_id == ""


def test_a_refused_frame_is_logged_with_its_name_and_the_reason(bundle, link, frame, lines):
    point = OperatingPoint("relu", codec="u8")
    features = bundle.head("relu").run((frame[None],))
    payload = bundle.encode(point, features, sequence=9)
    with pytest.raises(RefusedError):
        link.exchange(payload[:-3], 5.0)
    with pytest.raises(RefusedError):
        link.exchange(pack(OperatingPoint("relu"), features, [1], bundle="ab" * 32), 5.0)
    refused = [line for line in lines() if line["message"].startswith("refused, unreadable: ")]
    assert len(refused) == 2
    assert {line["level"] for line in refused} == {"INFO"}


def test_a_line_of_json_holds_what_went_wrong():
    try:
        raise ValueError("no memory")
    except ValueError as error:
        raised = (type(error), error, error.__traceback__)
    record = logging.LogRecord("adaedge.runtime.server", logging.ERROR, "", 0, "a payload of %d bytes", (7,), raised)
    record.__dict__.update(about_frame(255, 7, terminal="robot-7"))
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["logger"], line["message"]) == (
        "ERROR",
        "adaedge.runtime.server",
        "a payload of 7 bytes",
    )
    assert (line["frame_id"], line["terminal"]) == (frame_id(255, 7), "robot-7")
    assert line["time"].endswith("+00:00")
    assert "ValueError: no memory" in line["exception"]


@pytest.mark.parametrize(
    ("options", "level"),
    [({}, "WARNING"), ({"as_json": True}, "INFO"), ({"verbose": True, "as_json": True}, "DEBUG")],
)
def test_a_server_logs_as_much_as_it_is_told(monkeypatch, options, level):
    root = logging.Logger("root of this test")
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging, "getLogger", lambda name=None: root)
    _log_to_stderr(**{"verbose": False, "as_json": False} | options)
    assert logging.getLevelName(root.level) == level
    (handler,) = root.handlers
    assert isinstance(handler.formatter, JsonFormatter) == ("as_json" in options)


def test_an_older_record_is_read_without_a_name():
    record = FrameRecord(0, 0.0, 0.1, Decision(OperatingPoint("output"), 0.01, 0.1, None), Measurement(0.01, 0.01))
    document = json.loads(record.to_json())
    del document["measurement"]["frame_id"]
    assert FrameRecord.from_json(json.dumps(document)) == record
