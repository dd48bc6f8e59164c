"""What a modem reports for nothing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from adaedge.channel import LinkSignal, ask_modem_manager, ask_signal, parse_signal, read_signal
from adaedge.channel.signal import EFFICIENCIES, parse_modem_manager
from adaedge.errors import ScheduleError

# TS 38.214, table 5.2.2.1-2: bits of the modulation, and the code rate times 1024.
TABLE = [(2, 78), (2, 120), (2, 193), (2, 308), (2, 449), (2, 602), (4, 378), (4, 490), (4, 616)]
TABLE += [(6, 466), (6, 567), (6, 666), (6, 772), (6, 873), (6, 948)]


def test_every_efficiency_is_modulation_times_code_rate() -> None:
    assert EFFICIENCIES[0] == 0.0
    for found, (bits, code) in zip(EFFICIENCIES[1:], TABLE, strict=True):
        assert found == pytest.approx(bits * code / 1024, abs=5.1e-5)


def test_cqi_goes_before_sinr_and_power_alone_says_nothing() -> None:
    assert LinkSignal(sinr_db=30.0, cqi=1).rate_bps(1e6) == pytest.approx(152.3e3)
    assert LinkSignal(sinr_db=60.0).rate_bps(1e6, share=0.5) == pytest.approx(0.5 * 5554.7e3)
    assert LinkSignal(rsrp_dbm=-80.0, rsrq_db=-9.0).rate_bps(1e6) is None


@pytest.mark.parametrize("wrong", [{"cqi": 16}, {"cqi": -1}, {"sinr_db": float("nan")}, {"rsrp_dbm": "strong"}])
def test_what_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ScheduleError, match=r"finite number|0 to 15"):
        LinkSignal(**wrong)


def test_from_a_file_and_from_a_command(tmp_path: Path) -> None:
    path = tmp_path / "signal.json"
    assert read_signal(path) == LinkSignal()
    path.write_text('{"cqi": 7, "rsrp_dbm": -95}', encoding="utf-8")
    assert read_signal(path) == LinkSignal(rsrp_dbm=-95, cqi=7)
    assert ask_signal([sys.executable, "-c", "print('{\"sinr_db\": 3}')"]) == LinkSignal(sinr_db=3)
    assert ask_signal([sys.executable, "-c", "raise SystemExit(1)"]) == LinkSignal()
    assert ask_signal(["no-such-modem"]) == LinkSignal()


@pytest.mark.parametrize("text", ["-95 dBm", "[1]", '{"bars": 3}'])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match="a signal is JSON with any of rsrp_dbm"):
        parse_signal(text)


def test_a_file_that_nobody_writes_any_more_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "signal.json"
    path.write_text('{"cqi": 7}', encoding="utf-8")
    os.utime(path, (1e9, 1e9))
    assert read_signal(path) == LinkSignal(cqi=7)
    assert read_signal(path, fresh_s=30.0) == LinkSignal()
    path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(ScheduleError, match="is no text"):
        read_signal(path)


def manager(**technologies: dict[str, str]) -> str:
    """What mmcli prints, in the parts that matter here."""
    silent = {"rsrp": "--", "rsrq": "--", "snr": "--", "error-rate": "--"}
    return json.dumps({"modem": {"signal": {"5g": silent, "lte": silent, "refresh": {"rate": "5"}, **technologies}}})


def test_modem_manager_5g_goes_before_lte() -> None:
    lte, nr = {"rsrp": "-95.00", "rsrq": "-11.00", "snr": "12.40"}, {"rsrp": "-88.00", "rsrq": "--", "snr": "3.00"}
    assert parse_modem_manager(manager(lte=lte)) == LinkSignal(-95.0, -11.0, 12.4)
    assert parse_modem_manager(manager(lte=lte, **{"5g": nr})) == LinkSignal(-88.0, None, 3.0)
    assert parse_modem_manager(manager()) == LinkSignal()


@pytest.mark.parametrize("text", ["", "[]", '{"modem": {}}', manager(lte={"rsrp": "strong"})])
def test_another_text_of_modem_manager_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match="a signal of ModemManager is JSON"):
        parse_modem_manager(text)


def test_modem_manager_is_asked_as_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_modem_manager() == LinkSignal()  # it does not run here
    program = tmp_path / "mmcli"
    lte = {"rsrp": "-95.00", "rsrq": "-11.00", "snr": "12.40"}
    program.write_text(f"#!/bin/sh\n[ \"$*\" = '-m any --signal-get --output-json' ] && echo '{manager(lte=lte)}'\n")
    program.chmod(0o755)
    assert ask_modem_manager().sinr_db == 12.4
    assert ask_modem_manager("3") == LinkSignal()
