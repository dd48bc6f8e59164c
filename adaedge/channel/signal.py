"""LinkSignal: what a modem measures of the link without sending, and the rate that follows from it.

May import: ``errors``. `ask_signal` and `ask_modem_manager` start a process, `read_signal` looks at the wall clock.

**From quality to rate.** A channel quality indicator names a modulation and a code rate, and so a spectral efficiency:
3GPP TS 38.214 V17, table 5.2.2.1-2. Times the bandwidth that is the rate of an otherwise empty cell; what others use of
it, and that an uplink has less power than the downlink that was measured, is in one number, ``share``. Where the modem
gives no CQI, the efficiency follows from the SINR by Shannon's bound with 3 dB lost (an assumption), and is at most the
table's best.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adaedge.errors import ScheduleError

EFFICIENCIES = (
    *(0.0, 0.1523, 0.2344, 0.3770, 0.6016, 0.8770, 1.1758, 1.4766),
    *(1.9141, 2.4063, 2.7305, 3.3223, 3.9023, 4.5234, 5.1152, 5.5547),
)
"""Bits per second and hertz of each CQI; 0 is out of range. TS 38.214, table 5.2.2.1-2 (block errors of 10 %)."""
_LOSS_DB = 3.0
_COMMAND_S = 2.0
_SILENT = "--"


@dataclass(frozen=True, slots=True)
class LinkSignal:
    """The quality that a modem reports while it sends nothing; ``None`` for a figure that it does not report.

    Attributes:
        rsrp_dbm: power of the reference signal. It says nothing of noise, so no rate follows from it alone.
        rsrq_db: its quality; likewise.
        sinr_db: signal to interference and noise.
        cqi: channel quality indicator, 0 to 15.

    Raises:
        ScheduleError: if a value is not finite, or the CQI is no whole number from 0 to 15.

    Example:
        >>> LinkSignal(cqi=7).rate_bps(bandwidth_hz=10e6)
        14766000.0
        >>> round(LinkSignal(sinr_db=3.0).rate_bps(bandwidth_hz=10e6))
        10000000
        >>> LinkSignal(rsrp_dbm=-95.0).rate_bps(bandwidth_hz=10e6) is None
        True
    """

    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    cqi: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
                raise ScheduleError(f"{field.name} of a signal is a finite number or None; got {value!r}")
        if self.cqi is not None and self.cqi not in range(len(EFFICIENCIES)):
            raise ScheduleError(f"a CQI is a whole number from 0 to 15; got {self.cqi}")

    def rate_bps(self, bandwidth_hz: float, share: float = 1.0) -> float | None:
        """The rate in bit/s that follows from it; ``None`` where neither CQI nor SINR is known.

        Args:
            bandwidth_hz: bandwidth of the uplink.
            share: what of the cell's rate this terminal gets on its uplink.
        """
        if self.cqi is not None:
            return share * bandwidth_hz * EFFICIENCIES[self.cqi]
        if self.sinr_db is None:
            return None
        efficiency = math.log2(1 + 10 ** ((self.sinr_db - _LOSS_DB) / 10))
        return share * bandwidth_hz * min(efficiency, EFFICIENCIES[-1])


def parse_signal(text: str) -> LinkSignal:
    """A signal from JSON, such as ``{"cqi": 9, "rsrp_dbm": -95}``; empty text is a modem that reports nothing.

    Raises:
        ScheduleError: if it is something else.

    Example:
        >>> parse_signal('{"cqi": 9}').cqi
        9
    """
    if not text.strip():
        return LinkSignal()
    names = [field.name for field in fields(LinkSignal)]
    try:
        known: Any = json.loads(text)
    except ValueError:
        known = None
    if not isinstance(known, dict) or not known.keys() <= set(names):
        raise ScheduleError(f"a signal is JSON with any of {', '.join(names)}; got {text.strip()[:80]!r}")
    return LinkSignal(**known)


def read_signal(path: str | Path, *, fresh_s: float = math.inf) -> LinkSignal:
    """The signal that a file holds now; one that is not there says nothing.

    Args:
        path: the file, as JSON.
        fresh_s: a file that was written longer ago says nothing either: whoever wrote it has stopped.

    Raises:
        ScheduleError: if it holds something else.
    """
    try:
        written_s = Path(path).stat().st_mtime
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        return LinkSignal()
    except UnicodeDecodeError as error:
        raise ScheduleError(f"a signal is JSON text; {path} is no text") from error
    return parse_signal(text) if time.time() - written_s <= fresh_s else LinkSignal()


def ask_signal(command: list[str]) -> LinkSignal:
    """The signal that a command prints; one that fails, or takes longer than 2 s, says nothing.

    Args:
        command: the program and its arguments; no shell reads them.

    Raises:
        ScheduleError: if it prints something else.
    """
    text = _printed(command)
    return LinkSignal() if text is None else parse_signal(text)


def ask_modem_manager(modem: str = "any") -> LinkSignal:
    """The signal as ModemManager knows it, of 5G where there is any, else of LTE; it knows no CQI.

    ModemManager measures only where it was told to: ``mmcli -m any --signal-setup=5`` once, for every five seconds.
    Where it does not run, or no modem is there, the signal says nothing.

    Args:
        modem: its number or path, as ``mmcli -m`` takes it.

    Raises:
        ScheduleError: if its answer is none that is known.
    """
    text = _printed(["mmcli", "-m", modem, "--signal-get", "--output-json"])
    return LinkSignal() if text is None else parse_modem_manager(text)


def parse_modem_manager(text: str) -> LinkSignal:
    """A signal from what ``mmcli --signal-get --output-json`` prints; ``--`` stands for what is not measured.

    Raises:
        ScheduleError: if it is something else.

    Example:
        >>> parse_modem_manager('{"modem": {"signal": {"lte": {"rsrp": "-95.00", "rsrq": "--", "snr": "12.4"}}}}')
        LinkSignal(rsrp_dbm=-95.0, rsrq_db=None, sinr_db=12.4, cqi=None)
    """
    try:
        signal = json.loads(text)["modem"]["signal"]
        for technology in ("5g", "lte"):
            figures = {
                name: _decibels(signal.get(technology, {}).get(name, _SILENT)) for name in ("rsrp", "rsrq", "snr")
            }
            if any(figure is not None for figure in figures.values()):
                return LinkSignal(figures["rsrp"], figures["rsrq"], figures["snr"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScheduleError(
            f"a signal of ModemManager is JSON with modem, signal, and 5g or lte; got {text.strip()[:80]!r}"
        ) from error
    return LinkSignal()


def _decibels(text: str) -> float | None:
    return None if text == _SILENT else float(text)


def _printed(command: list[str]) -> str | None:
    """What a command prints; ``None`` where it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_COMMAND_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
