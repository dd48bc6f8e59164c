"""EnergyMeter: the joules of what really happened, frame after frame.

May import: ``errors``. Holds explicitly when the radio was last used: one meter for one terminal, used by one
thread at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from adaedge.energy.model import EnergyModel, EnergySplit
from adaedge.errors import EnergyError


@final
class EnergyMeter:
    """Integrates the modelled power along time, so that a tail is charged once and for as long as it lasted.

    The sum over all frames and ``close`` is the integral of the power over the run. The radio is idle at the start.

    Args:
        model: the terminal's processor and radio.

    Example:
        >>> from adaedge.energy import ComputePower, RadioPower
        >>> meter = EnergyMeter(EnergyModel(ComputePower(4.0), RadioPower("test", uplink_w=1.0, tail_s=10, tail_w=0.1)))
        >>> sent = meter.frame(0.0, compute_s=0.01, uploads=[(0.1, 0.2, 12_500)], end_s=0.2)
        >>> local = meter.frame(1.0, compute_s=0.05, end_s=1.2)  # holds the tail since the answer
        >>> round(sent.transmit_j, 6), round(local.tail_j, 6), round(meter.close().tail_j, 6)
        (0.1, 0.1, 0.9)
    """

    def __init__(self, model: EnergyModel) -> None:
        self._model = model
        self._charged_s = -math.inf  # the radio's joules are counted until here
        self._packet_s = -math.inf  # when it carried its last packet

    def frame(
        self,
        start_s: float,
        compute_s: float,
        uploads: Sequence[tuple[float, float, int]] = (),
        wait_s: float = 0.0,
        answer_bytes: int = 0,
        *,
        end_s: float,
    ) -> EnergySplit:
        """Joules since the previous frame ended; the radio's tail after the previous upload is among them.

        After the last upload come ``wait_s`` of waiting, then the answer at the rate of that upload, then the tail.

        Args:
            start_s: when the frame arrived.
            compute_s: seconds that the terminal computed.
            uploads: when each began and ended, and its bytes, in order; given up and failed ones too.
            wait_s: seconds waited for the answer after the last upload.
            answer_bytes: bytes received.
            end_s: when the frame was answered.

        Raises:
            EnergyError: if a time runs backwards.
        """
        if end_s < start_s or any(end < begin for begin, end, _ in uploads) or min(compute_s, wait_s) < 0:
            raise EnergyError(f"a frame and its uploads end after they begin; got {start_s} to {end_s}, {uploads}")
        radio = self._model.radio
        promote_j = transmit_j = receive_j = wait_j = tail_j = 0.0
        for begin_s, sent_s, payload_bytes in uploads:
            tail_j += self._idle_j(begin_s)
            promote_j += radio.ready_j(begin_s - self._packet_s)
            transmit_j += radio.sending_j(payload_bytes, sent_s - begin_s)
            self._used_until(sent_s)
        if uploads:
            rate_bps = _rate_bps(*uploads[-1])
            self._used_until(self._charged_s + wait_s + 8 * answer_bytes / rate_bps)
            receive_j = radio.downlink_j(answer_bytes, rate_bps)
            wait_j = radio.wait_j(wait_s) + self._model.compute.wait_w * wait_s
        tail_j += self._idle_j(end_s)
        compute_j = self._model.compute.busy_w * compute_s
        return EnergySplit(compute_j, promote_j, transmit_j, receive_j, wait_j, tail_j)

    @property
    def owed_j(self) -> float:
        """Joules that the radio will draw yet, if it is left alone from now on."""
        if math.isinf(self._packet_s):
            return 0.0
        return float(self._model.radio.idle_j(self._charged_s - self._packet_s, math.inf))

    def close(self, end_s: float = math.inf) -> EnergySplit:
        """Joules of the tail that remains, until ``end_s`` at most; the radio sleeps afterwards."""
        remaining_j = self._idle_j(end_s)
        self._packet_s = -math.inf
        return EnergySplit(tail_j=remaining_j)

    def _idle_j(self, until_s: float) -> float:
        """Charge the radio from where it was last charged, with nothing to do since its last packet."""
        begin_s, self._charged_s = self._charged_s, max(self._charged_s, until_s)
        if until_s <= begin_s or math.isinf(self._packet_s):
            return 0.0
        return float(self._model.radio.idle_j(begin_s - self._packet_s, until_s - self._packet_s))

    def _used_until(self, time_s: float) -> None:
        self._charged_s = max(self._charged_s, time_s)
        self._packet_s = max(self._packet_s, time_s)


def _rate_bps(begin_s: float, end_s: float, payload_bytes: int) -> float:
    """The rate of an upload; infinite where it is too short to say."""
    return 8 * payload_bytes / (end_s - begin_s) if payload_bytes and end_s > begin_s else math.inf
