"""Logs as one JSON object a line, with the frame that a line is about.

May import: nothing of adaedge but this part.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, final

from adaedge.runtime.frame_identity import frame_id, trace_id

FRAME = "adaedge_frame"
"""The attribute of a log record that holds a frame's fields."""


def about_frame(stream: int, sequence: int, **more: Any) -> dict[str, Any]:
    """The ``extra`` of a log call for a line about a frame.

    Example:
        >>> about_frame(255, 7, terminal="robot-7")["adaedge_frame"]["frame_id"]
        '00000000000000ff-7'
    """
    name = frame_id(stream, sequence)
    return {FRAME: {"frame_id": name, "trace_id": trace_id(name), **more}}


@final
class JsonFormatter(logging.Formatter):
    """Writes ``time``, ``level``, ``logger`` and ``message``, and of a line about a frame what `about_frame` says.

    ``trace_id`` is that of the frame's OpenTelemetry span: log collectors put the two together by it.

    Example:
        >>> record = logging.LogRecord("adaedge", logging.INFO, "", 0, "answered %d bytes", (75,), None)
        >>> json.loads(JsonFormatter().format(record))["message"]
        'answered 75 bytes'
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, FRAME, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
