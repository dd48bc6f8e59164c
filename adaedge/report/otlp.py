"""Records as OpenTelemetry traces: a span for each frame, and in it what it was computed, sent and waited for.

May import: ``runtime``; of this part nothing. Writes OTLP in JSON, which collectors take by HTTP (``/v1/traces``) or
from a file (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): ids in hexadecimal, times in nanoseconds
since 1970 as text, kinds and states as numbers. No package is needed for that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from adaedge._version import __version__
from adaedge.runtime.frame_identity import trace_id
from adaedge.runtime.record import FrameRecord

_INTERNAL, _CLIENT = 1, 3
_ERROR = 2
Json = dict[str, Any]


def open_telemetry(records: Iterable[FrameRecord], *, begin_s: float, service: str = "adaedge-terminal") -> str:
    """The records as one OTLP document.

    A frame that crossed the link has the trace id that the edge server's log gives it (``--log-json``); another has one
    of its own. Joules are modelled, as in the records.

    Args:
        records: of one run, in order.
        begin_s: when the run began, in seconds since 1970: records count from then.
        service: the name of what ran, for the collector.

    Example:
        >>> from adaedge.operating_point import Decision, OperatingPoint
        >>> from adaedge.runtime import Measurement
        >>> decision = Decision(OperatingPoint("output"), latency_s=0.03, energy_j=0.1, accuracy=None)
        >>> record = FrameRecord(0, 0.5, 0.2, decision, Measurement(0.025, compute_s=0.02))
        >>> (resource,) = json.loads(open_telemetry([record], begin_s=1e9))["resourceSpans"]
        >>> span = resource["scopeSpans"][0]["spans"][0]
        >>> span["name"], span["startTimeUnixNano"], span["endTimeUnixNano"]
        ('frame', '1000000000500000000', '1000000000525000000')
    """
    spans = [span for record in records for span in _spans(record, begin_s)]
    scope = {"scope": {"name": "adaedge", "version": __version__}, "spans": spans}
    resource = {"attributes": _attributes({"service.name": service, "service.version": __version__})}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})


def _spans(record: FrameRecord, begin_s: float) -> Iterator[Json]:
    """The frame's span, then what happened in it."""
    measured, decision = record.measurement, record.decision
    name = measured.frame_id or f"{begin_s!r}/{record.index}"
    trace, start = trace_id(name), _nanoseconds(begin_s) + _nanoseconds(record.time_s)
    frame = _span(trace, "frame", start, measured.latency_s, _INTERNAL)
    frame["attributes"] = _attributes({
        "adaedge.frame": record.index,
        "adaedge.frame_id": measured.frame_id,
        "adaedge.point": str(decision.point),
        "adaedge.answered_by": measured.answered_by,
        "adaedge.deadline_s": record.deadline_s,
        "adaedge.missed": record.missed,
        "adaedge.payload_bytes": measured.payload_bytes,
        "adaedge.answer_bytes": measured.answer_bytes,
        "adaedge.edge_s": measured.edge_s,
        "adaedge.energy_j": measured.energy.total_j,
        "adaedge.predicted.latency_s": decision.latency_s,
        "adaedge.predicted.energy_j": decision.energy_j,
        "adaedge.rate_bps": decision.rate_bps,
        "adaedge.failure": measured.failure,
    })  # fmt: skip
    if record.missed or measured.failure:
        frame["status"] = {"code": _ERROR, "message": measured.failure or "the answer came after its deadline"}
    yield frame
    sent_s = max(0.0, measured.latency_s - measured.upload_s - measured.wait_s)
    computed_s = min(measured.compute_s, measured.latency_s)
    for part, after_s, took_s, kind in (
        ("compute", 0.0, computed_s, _INTERNAL),
        ("upload", sent_s, measured.upload_s, _CLIENT),
        ("wait", sent_s + measured.upload_s, measured.wait_s, _CLIENT),
    ):
        if took_s > 0:
            yield _span(trace, part, start + _nanoseconds(after_s), took_s, kind) | {"parentSpanId": frame["spanId"]}


def _span(trace: str, name: str, start: int, took_s: float, kind: int) -> Json:
    return {
        "traceId": trace,
        "spanId": hashlib.sha256(f"{trace} {name}".encode()).hexdigest()[:16],
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + _nanoseconds(took_s)),
    }


def _nanoseconds(time_s: float) -> int:
    """Whole, so that times add exactly: a float of today's date holds a quarter of a microsecond."""
    return round(time_s * 1e9)


def _attributes(values: Json) -> list[Json]:
    """Names and values as OTLP writes them; what is not known or empty is left out."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value not in (None, "")]


def _value(value: bool | int | float | str) -> Json:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
