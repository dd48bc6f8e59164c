"""Records as OpenTelemetry spans: what a collector reads is what happened."""

from __future__ import annotations

import json
import os

import pytest
from typer.testing import CliRunner

from adaedge import cli
from adaedge.energy import EnergySplit
from adaedge.operating_point import Decision, OperatingPoint
from adaedge.report import open_telemetry
from adaedge.runtime import FrameRecord, Measurement, write_records
from adaedge.runtime.frame_identity import trace_id

BEGIN_S = 1_790_000_000.25
DECISION = Decision(OperatingPoint("relu", codec="u8"), latency_s=0.05, energy_j=0.2, accuracy=0.9, rate_bps=2e6)
SENT = Measurement(
    0.1, 0.02, 0.05, 0.03, 2300, 150, "edge", energy=EnergySplit(compute_j=0.25), edge_s=0.01, frame_id="00ff-7"
)
LOCAL = Measurement(0.3, 0.3, failure="timeout")


def record(index, measurement, deadline_s=0.2):
    return FrameRecord(index, 0.5 * index, deadline_s, DECISION, measurement)


def spans_of(records):
    (resource,) = json.loads(open_telemetry(records, begin_s=BEGIN_S, service="robot-7"))["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "robot-7"}} in resource["resource"]["attributes"]
    (scope,) = resource["scopeSpans"]
    return scope["spans"]


def times_s(span):
    return tuple((int(span[key]) - int(BEGIN_S * 1e9)) / 1e9 for key in ("startTimeUnixNano", "endTimeUnixNano"))


def attributes(span):
    return {entry["key"]: entry["value"] for entry in span["attributes"]}


def test_a_frame_is_a_span_and_what_happened_in_it_are_its_children():
    frame, compute, upload, wait = spans_of([record(1, SENT)])
    assert [span["name"] for span in (frame, compute, upload, wait)] == ["frame", "compute", "upload", "wait"]
    assert times_s(frame) == pytest.approx((0.5, 0.6), abs=1e-6)
    assert times_s(compute) == pytest.approx((0.5, 0.52), abs=1e-6)
    assert times_s(upload) == pytest.approx((0.52, 0.57), abs=1e-6)
    assert times_s(wait) == pytest.approx((0.57, 0.6), abs=1e-6)
    assert {span["parentSpanId"] for span in (compute, upload, wait)} == {frame["spanId"]}
    assert "parentSpanId" not in frame
    assert len({span["spanId"] for span in (frame, compute, upload, wait)}) == 4
    assert {span["traceId"] for span in (frame, compute, upload, wait)} == {trace_id("00ff-7")}
    assert [span["kind"] for span in (frame, compute, upload, wait)] == [1, 1, 3, 3]
    assert (len(frame["traceId"]), len(frame["spanId"])) == (32, 16)


def test_its_attributes_are_the_records():
    found = attributes(spans_of([record(1, SENT)])[0])
    assert found["adaedge.frame"] == {"intValue": "1"}
    assert found["adaedge.frame_id"] == {"stringValue": "00ff-7"}
    assert found["adaedge.point"] == {"stringValue": "relu/w1/fp32/u8"}
    assert found["adaedge.payload_bytes"] == {"intValue": "2300"}
    assert found["adaedge.energy_j"] == {"doubleValue": 0.25}
    assert found["adaedge.predicted.energy_j"] == {"doubleValue": 0.2}
    assert found["adaedge.rate_bps"] == {"doubleValue": 2e6}
    assert found["adaedge.missed"] == {"boolValue": False}
    assert "adaedge.failure" not in found


def test_what_failed_or_came_late_is_an_error():
    fine, failed = (one for one in spans_of([record(0, SENT), record(1, LOCAL)]) if one["name"] == "frame")
    assert "status" not in fine
    assert failed["status"] == {"code": 2, "message": "timeout"}
    assert attributes(failed)["adaedge.failure"] == {"stringValue": "timeout"}
    late = spans_of([record(0, SENT, deadline_s=0.05)])[0]
    assert late["status"] == {"code": 2, "message": "the answer came after its deadline"}


def test_frames_that_sent_nothing_have_traces_of_their_own():
    frames = [span for span in spans_of([record(index, LOCAL) for index in range(3)]) if span["name"] == "frame"]
    assert len({span["traceId"] for span in frames}) == 3
    assert "adaedge.frame_id" not in attributes(frames[0])


def test_the_command_writes_them_as_of_when_the_file_was_written(tmp_path):
    path, out = tmp_path / "run.jsonl", tmp_path / "spans.json"
    write_records([record(index, SENT) for index in range(3)], path)
    os.utime(path, (2000.0, 2000.0))
    options = ["report", str(path), "-o", str(tmp_path / "page.html"), "--otlp", str(out), "--json"]
    assert CliRunner().invoke(cli.app, options, catch_exceptions=False).exit_code == 0
    spans = json.loads(out.read_text())["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert max(int(span["endTimeUnixNano"]) for span in spans) == pytest.approx(2000e9, abs=1e3)
