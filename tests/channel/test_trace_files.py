"""Trace files: three formats, recognised; each error names file, line and way out."""

from __future__ import annotations

import numpy as np
import pytest

from adaedge.channel import read_csv, read_mahimahi, read_rates, read_trace
from adaedge.errors import TraceError


@pytest.fixture
def written(tmp_path):
    def write(text, name="trace.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_mahimahi_by_hand(written):
    # Two opportunities in the first 100 ms, none in the second, one in the third; one at the very end, 250 ms.
    trace = read_trace(written("10\n20\n210\n250\n"))
    np.testing.assert_allclose(trace.times_s, [0, 0.1, 0.2])
    np.testing.assert_allclose(trace.rates_bps, [2 * 12_000 / 0.1, 0, 2 * 12_000 / 0.05])
    assert trace.duration_s == 0.25
    assert trace.bytes_within(0, 0.25) == pytest.approx(4 * 1500)
    fine = read_mahimahi(written("10\n20\n210\n250\n"), bin_s=0.01)
    assert len(fine.rates_bps) == 25
    assert fine.bytes_within(0, 0.25) == pytest.approx(6000)


def test_an_opportunity_on_the_edge_of_a_bin_is_counted_once(written):
    trace = read_trace(written("0\n100\n200\n300\n"))
    assert trace.bytes_within(0, 0.3) == pytest.approx(6000)
    assert len(trace.rates_bps) == 3


def test_seconds_and_megabits_by_hand(written):
    trace = read_trace(written("# walked\n1.0 2.5\n\n2.0\t0\n4.0   8\r\n"))
    assert trace.times_s.tolist() == [0, 1, 3]
    assert trace.rates_bps.tolist() == [2.5e6, 0, 8e6]
    assert read_rates(written("0 5\n1 6\n"), unit_bps=1e3).rates_bps.tolist() == [5e3, 6e3]


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("time_s,rate_bps\n0,100\n1,200\n", [100, 200]),
        ("seconds, uplink_mbps, note\n0, 1.5, a\n1, 2, b\n", [1.5e6, 2e6]),
        ("\ufeffTime,ul_Kbps\n0,100\n1,200\n", [1e5, 2e5]),
        ('t,"gbps"\n0,1\n1,2\n', [1e9, 2e9]),
    ],
)
def test_csv_by_its_header(written, text, rates):
    assert read_trace(written(text)).rates_bps.tolist() == rates


def test_csv_by_given_columns(written):
    path = written("when,up,down_mbps\n0,100,1\n1,200,2\n")
    assert read_csv(path, time="when", rate="up").rates_bps.tolist() == [100, 200]
    assert read_csv(path, time="when", rate="down_mbps").rates_bps.tolist() == [1e6, 2e6]
    with pytest.raises(
        TraceError,
        match=r"no column of seconds among when, up, down_mbps. Name the columns .* or in Python read_csv",
    ):
        read_trace(path)
    with pytest.raises(TraceError, match="no column of rates named 'rate' among when"):
        read_csv(path, time="when", rate="rate")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "trace.txt has no samples; a trace has at least one"),
        ("\n# only a comment\n", "has no samples"),
        ("time_s,rate_bps\n", "has no samples below its header"),
        ("0 1\n1 -2\n", "trace.txt line 2: a rate is at least 0; this one is negative"),
        ("time_s,rate_bps\n0,1\n1,-2\n", "line 3: a rate is at least 0"),
        ("0 1\n1 2\n0.5 1\n", "trace.txt line 3: time goes back, from 1 to 0.5"),
        ("5\n4\n", "line 2: time goes back, from 5 to 4"),
        ("0 1\n1 fast\n", "line 2: 'fast' is not a number"),
        ("0 1\nnan 2\n", "line 2: 'nan' is not a number"),
        ("0 inf\n", "line 1: 'inf' is not a number"),
        ("12\nhello\n", "line 2: 'hello' is not a number"),
        ("0 1\n1\n", "line 2: expected seconds and a rate, got '1'"),
        ("time_s,rate_bps\n0,1\n1,2,3\n", "line 3: the header has 2 columns, this line 3"),
        ("a b c\n", "is no trace: its first line is 'a b c'. A line holds one millisecond stamp"),
        ("hello\n", "line 1: 'hello' is not a number"),
        ("0 0\n1 0\n", "trace.txt: a trace whose rates are all zero"),
        ("0\n", "stamps are milliseconds from 0, the last above 0"),
        ("-5\n10\n", "stamps are milliseconds from 0"),
        (b"\xff\xfe\x00\x01", "cannot read the trace .*trace.txt"),
    ],
)
def test_what_is_no_trace_is_refused(written, text, error):
    with pytest.raises(TraceError, match=error):
        read_trace(written(text))


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(TraceError, match=r"cannot read the trace .*absent"):
        read_trace(tmp_path / "absent")
    with pytest.raises(TraceError, match="cannot read the trace"):
        read_trace(tmp_path)


@pytest.mark.parametrize("bin_s", [0, -1, float("nan")])
def test_a_bin_has_a_length(written, bin_s):
    with pytest.raises(TraceError, match="bin_s is a number of seconds above 0"):
        read_mahimahi(written("10\n20\n"), bin_s=bin_s)


def test_recorded_traces(data_dir):
    paths = sorted((data_dir / "traces").iterdir())
    assert len(paths) >= 19
    for path in paths:
        trace = read_trace(path)
        assert trace.duration_s > 100
        assert 1e6 < trace.mean_bps < 1e9
        if path.name.startswith("mahimahi"):
            opportunities = len(path.read_text().split())
            assert trace.bytes_within(0, trace.duration_s) == pytest.approx(1500 * opportunities)
