"""Rate traces from files: mahimahi's packet opportunities, ``seconds rate`` lines, CSV.

May import: ``errors``.
"""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path

import numpy as np

from adaedge.channel.trace import Trace
from adaedge.errors import TraceError

OPPORTUNITY_BYTES = 1500
_TIME_COLUMNS = ("time_s", "seconds", "time", "t")
_RATE_COLUMN = re.compile(r"(?:.*_)?([kmg]?)bps", re.IGNORECASE)
_UNIT_BPS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}

Lines = list[tuple[int, str]]


def read_trace(path: str | Path, *, bin_s: float = 0.1) -> Trace:
    """Read a trace in any of the three formats, recognised by its first line.

    One number a line is mahimahi's, two are seconds and Mbit/s, a header with commas is CSV. Blank lines and lines that
    begin with ``#`` are skipped.

    Args:
        path: the file.
        bin_s: seconds over which mahimahi's packet opportunities are counted into a rate.

    Raises:
        TraceError: if the file cannot be read or is not a trace; the message names the line.
    """
    lines = _lines(path)
    first = lines[0][1]
    if "," in first:
        return _csv(path, lines, None, None)
    fields = len(first.split())
    if fields == 1:
        return _mahimahi(path, lines, bin_s)
    if fields == 2:
        return _rates(path, lines, 1e6)
    raise TraceError(
        f"{path} is no trace: its first line is {first[:60]!r}. A line holds one millisecond stamp (mahimahi), or"
        " seconds and Mbit/s, or comma-separated columns under a header."
    )


def read_mahimahi(path: str | Path, *, bin_s: float = 0.1) -> Trace:
    """Read mahimahi's format: a line for each opportunity to send 1,500 bytes, its millisecond stamp.

    Args:
        path: the file.
        bin_s: seconds over which opportunities are counted into a rate.

    Raises:
        TraceError: if the file cannot be read, has no opportunities, or its time goes back.
    """
    return _mahimahi(path, _lines(path), bin_s)


def read_rates(path: str | Path, *, unit_bps: float = 1e6) -> Trace:
    """Read lines of ``seconds rate``.

    Args:
        path: the file.
        unit_bps: what a rate of 1 means, in bit/s; Mbit/s by default.

    Raises:
        TraceError: if the file cannot be read, has no samples, a negative rate, or its time goes back.
    """
    return _rates(path, _lines(path), unit_bps)


def read_csv(path: str | Path, *, time: str | None = None, rate: str | None = None) -> Trace:
    """Read comma-separated columns under a header.

    Args:
        path: the file.
        time: name of the column of seconds; by default ``time_s``, ``seconds``, ``time`` or ``t``.
        rate: name of the column of rates; by default the first that ends with a unit, ``_bps``, ``_kbps``, ``_mbps`` or
            ``_gbps``. A column without a unit in its name holds bit/s.

    Raises:
        TraceError: if the file cannot be read, lacks columns or samples, has a negative rate, or its time goes back.
    """
    return _csv(path, _lines(path), time, rate)


def _lines(path: str | Path) -> Lines:
    """The lines that hold something, with their numbers."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"cannot read the trace {path}: {error}") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise TraceError(f"{path} has no samples; a trace has at least one")
    return lines


def _number(path: str | Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise TraceError(f"{path} line {line}: {text[:60]!r} is not a number")
    return value


def _trace(path: str | Path, samples: list[tuple[int, float, float]]) -> Trace:
    """A trace of (line, seconds, bit/s); an error names the line."""
    for line, _, rate_bps in samples:
        if rate_bps < 0:
            raise TraceError(f"{path} line {line}: a rate is at least 0; this one is negative")
    _check_order(path, [(line, time_s) for line, time_s, _ in samples])
    try:
        return Trace([time_s for _, time_s, _ in samples], [rate_bps for _, _, rate_bps in samples])
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from error


def _check_order(path: str | Path, times: list[tuple[int, float]]) -> None:
    for (_, before), (line, after) in itertools.pairwise(times):
        if after < before:
            raise TraceError(f"{path} line {line}: time goes back, from {before:g} to {after:g}")


def _rates(path: str | Path, lines: Lines, unit_bps: float) -> Trace:
    samples = []
    for line, text in lines:
        fields = text.split()
        if len(fields) != 2:
            raise TraceError(f"{path} line {line}: expected seconds and a rate, got {text[:60]!r}")
        samples.append((line, _number(path, line, fields[0]), _number(path, line, fields[1]) * unit_bps))
    return _trace(path, samples)


def _mahimahi(path: str | Path, lines: Lines, bin_s: float) -> Trace:
    if not bin_s > 0:
        raise TraceError(f"bin_s is a number of seconds above 0; got {bin_s}")
    stamps = [(line, _number(path, line, text)) for line, text in lines]
    _check_order(path, stamps)
    times = np.array([stamp for _, stamp in stamps]) / 1e3
    if times[0] < 0 or times[-1] <= 0:
        raise TraceError(f"{path}: stamps are milliseconds from 0, the last above 0; got {stamps[0][1]:g} first")
    # mahimahi repeats a trace after its last stamp; the last bin is as long as what is left.
    edges = np.append(np.arange(0, times[-1] - 1e-9, bin_s), times[-1])
    counts, _ = np.histogram(times, edges)
    return Trace(edges[:-1], counts * OPPORTUNITY_BYTES * 8 / np.diff(edges), times[-1])


def _csv(path: str | Path, lines: Lines, time: str | None, rate: str | None) -> Trace:
    rows = [(line, [field.strip() for field in next(csv.reader([text]))]) for line, text in lines]
    header = rows[0][1]
    time_at = _column(path, header, time, [name for name in header if name.lower() in _TIME_COLUMNS], "seconds")
    rate_at = _column(path, header, rate, [name for name in header if _RATE_COLUMN.fullmatch(name)], "rates")
    unit = _RATE_COLUMN.fullmatch(header[rate_at])
    unit_bps = _UNIT_BPS[unit[1].lower()] if unit else 1.0
    samples = []
    for line, fields in rows[1:]:
        if len(fields) != len(header):
            raise TraceError(f"{path} line {line}: the header has {len(header)} columns, this line {len(fields)}")
        samples.append((line, _number(path, line, fields[time_at]), _number(path, line, fields[rate_at]) * unit_bps))
    if not samples:
        raise TraceError(f"{path} has no samples below its header; a trace has at least one")
    return _trace(path, samples)


def _column(path: str | Path, header: list[str], name: str | None, candidates: list[str], what: str) -> int:
    if name in header:
        return header.index(name)
    if name is None and candidates:
        return header.index(candidates[0])
    raise TraceError(
        f"{path} line 1: no column of {what}{f' named {name!r}' if name else ''} among {', '.join(header)}."
        " Name the columns seconds and mbps (or bps, kbps) in the file, or in Python"
        " read_csv(path, time=..., rate=...)."
    )
