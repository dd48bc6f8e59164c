"""SignalWatch: asks the modem for its signal every few seconds, beside the frames.

May import: ``errors``, ``channel``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self, final

from adaedge.channel import LinkSignal
from adaedge.errors import ScheduleError

_log = logging.getLogger(__name__)


@final
class SignalWatch:
    """The rate that the modem's signal promises, as last reported. Pass it to `Terminal` as ``signal``.

    The signal is read once at once, so that one that cannot be understood is an error before the first frame; then in a
    thread of its own, because a command may take longer than a frame. One that cannot be understood later says nothing.

    Args:
        read: asks the modem, such as ``lambda: read_signal("signal.json")`` or ``ask_modem_manager``.
        bandwidth_hz: bandwidth of the uplink.
        share: what of the cell's rate this terminal gets on its uplink.
        every_s: seconds from one reading to the next.

    Raises:
        ScheduleError: if the first signal cannot be understood, or a number is not above 0.

    Example:
        >>> with SignalWatch(lambda: LinkSignal(cqi=7), bandwidth_hz=10e6, share=0.5) as watch:
        ...     watch()
        7383000.0
    """

    def __init__(
        self,
        read: Callable[[], LinkSignal],
        *,
        bandwidth_hz: float,
        share: float = 1.0,
        every_s: float = 2.0,
    ) -> None:
        for name, value in (("bandwidth_hz", bandwidth_hz), ("share", share), ("every_s", every_s)):
            if not value > 0:
                raise ScheduleError(f"{name} of a signal is above 0; got {value}")
        self._read, self._bandwidth_hz, self._share, self._every_s = read, bandwidth_hz, share, every_s
        self._rate_bps = read().rate_bps(bandwidth_hz, share)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="adaedge-signal", daemon=True)
        self._thread.start()

    def __call__(self) -> float | None:
        """The rate in bit/s; ``None`` where the modem reports nothing that a rate follows from."""
        return self._rate_bps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Read no more."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        understood = True
        while not self._closed.wait(self._every_s):
            try:
                self._rate_bps = self._read().rate_bps(self._bandwidth_hz, self._share)
                understood = True
            except ScheduleError as error:
                self._rate_bps = None
                if understood:
                    _log.warning("the modem's signal is not understood and says nothing: %s", error)
                understood = False
