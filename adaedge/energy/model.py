"""EnergyModel: the joules of one frame, from what it computes and sends. EnergySplit: where they went.

May import: ``errors``. Pure; takes numbers or NumPy arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from adaedge.energy.compute import ComputePower
from adaedge.energy.radio import Radio
from adaedge.errors import EnergyError


@dataclass(frozen=True, slots=True)
class EnergySplit:
    """Joules of the terminal above its idle power, by cause.

    Attributes:
        compute_j: the terminal's own computing, a failed offload's local finish included.
        promote_j: waking the radio.
        transmit_j: sending payloads and probes.
        receive_j: receiving answers.
        wait_j: connected, waiting for the edge server.
        tail_j: the radio's tail: what it draws after the last packet, with nothing to send, until it is fast asleep.

    Example:
        >>> (EnergySplit(compute_j=0.2) + EnergySplit(tail_j=0.1)).total_j
        0.30000000000000004
    """

    compute_j: float = 0.0
    promote_j: float = 0.0
    transmit_j: float = 0.0
    receive_j: float = 0.0
    wait_j: float = 0.0
    tail_j: float = 0.0

    @property
    def total_j(self) -> float:
        """The sum of all causes, in joules."""
        return self.compute_j + self.promote_j + self.transmit_j + self.receive_j + self.wait_j + self.tail_j

    def __add__(self, other: EnergySplit) -> EnergySplit:
        return EnergySplit(
            self.compute_j + other.compute_j,
            self.promote_j + other.promote_j,
            self.transmit_j + other.transmit_j,
            self.receive_j + other.receive_j,
            self.wait_j + other.wait_j,
            self.tail_j + other.tail_j,
        )


class Prices(NamedTuple):
    """The price of each unit of an offload at given rates: without changes of the radio's state, joules are linear.

    Attributes:
        compute_w: joules of a second that the terminal computes.
        uplink_j_per_byte: joules of a byte sent.
        downlink_j_per_byte: joules of a byte received.
        wait_w: joules of a second of waiting for the edge server, while the radio listens without a pause.
    """

    compute_w: float
    uplink_j_per_byte: float
    downlink_j_per_byte: float
    wait_w: float


@dataclass(frozen=True, slots=True)
class EnergyModel:
    """A terminal's processor and radio. All joules are above the terminal's idle power.

    Attributes:
        compute: the processor.
        radio: the radio.

    Example:
        >>> from adaedge.energy import RadioPower
        >>> model = EnergyModel(ComputePower(busy_w=4.0), RadioPower("test", uplink_w=1.0, tail_s=10.0, tail_w=0.1))
        >>> model.local(compute_s=0.05).total_j
        0.2
        >>> model.offload(compute_s=0.01, payload_bytes=12_500, rate_bps=1e6, gap_s=1.0)
        EnergySplit(compute_j=0.04, promote_j=0.0, transmit_j=0.1, receive_j=0.0, wait_j=0.0, tail_j=0.1)
    """

    compute: ComputePower
    radio: Radio

    @property
    def provenance(self) -> str:
        """How the figures are known, for the caption of a table."""
        return f"compute {self.compute.provenance}; radio {self.radio.describe()}"

    def local(self, compute_s: Any) -> EnergySplit:
        """Joules of a frame that the terminal answers alone.

        Args:
            compute_s: seconds of computing; an array gives arrays.
        """
        return EnergySplit(compute_j=self.compute.busy_w * compute_s)

    def offload(
        self,
        compute_s: Any,
        payload_bytes: Any,
        rate_bps: Any,
        wait_s: Any = 0.0,
        *,
        answer_bytes: Any = 0.0,
        downlink_bps: Any = None,
        gap_s: Any = math.inf,
        idle_s: Any = 0.0,
    ) -> EnergySplit:
        """Joules of a frame that crosses the link.

        The radio says what waking it, sending, receiving, waiting and being left alone until the next upload cost; the
        processor adds ``wait_w · wait_s``. Arguments may be arrays of one shape; where ``payload_bytes`` is 0 the radio
        is not used.

        Args:
            compute_s: seconds that the terminal computes.
            payload_bytes: bytes sent.
            rate_bps: rate of the uplink.
            wait_s: seconds from the payload's arrival until the answer begins to arrive.
            answer_bytes: bytes received.
            downlink_bps: rate of the downlink; ``None`` for the uplink's.
            gap_s: seconds from the answer to the next upload: the radio is left alone for no longer.
            idle_s: seconds from the radio's last packet to this upload; ``inf`` for a radio that is fast asleep.

        Raises:
            EnergyError: if a rate is not positive.
        """
        downlink_bps = _downlink_bps(rate_bps, downlink_bps)
        radio, used = self.radio, payload_bytes != 0
        return EnergySplit(
            compute_j=self.compute.busy_w * compute_s,
            promote_j=used * radio.ready_j(idle_s),
            transmit_j=radio.uplink_j(payload_bytes, rate_bps),
            receive_j=used * radio.downlink_j(answer_bytes, downlink_bps),
            wait_j=used * (radio.wait_j(wait_s) + self.compute.wait_w * wait_s),
            tail_j=used * radio.idle_j(0.0, gap_s),
        )

    def prices(self, rate_bps: float, downlink_bps: float | None = None) -> Prices:
        """What each unit of an offload costs at these rates: many points are priced by one product.

        Args:
            rate_bps: rate of the uplink.
            downlink_bps: rate of the downlink; ``None`` for the uplink's.

        Raises:
            EnergyError: if a rate is not positive.

        Example:
            >>> from adaedge.energy import RadioPower
            >>> model = EnergyModel(ComputePower(busy_w=4.0, wait_w=0.5), RadioPower("test", uplink_w=1.0, tail_w=0.1))
            >>> model.prices(1e6)
            Prices(compute_w=4.0, uplink_j_per_byte=8e-06, downlink_j_per_byte=0.0, wait_w=0.6)
        """
        downlink_bps = _downlink_bps(rate_bps, downlink_bps)
        radio, compute = self.radio, self.compute
        return Prices(
            compute.busy_w,
            radio.uplink_j(1, rate_bps),
            radio.downlink_j(1, downlink_bps),
            radio.listen_w + compute.wait_w,
        )


def _downlink_bps(rate_bps: Any, downlink_bps: Any) -> Any:
    """The rate of the answers, once both are known to be possible."""
    downlink_bps = rate_bps if downlink_bps is None else downlink_bps
    if not (_positive(rate_bps) and _positive(downlink_bps)):
        raise EnergyError(f"a link's rate is above 0 bit/s; got {rate_bps} up, {downlink_bps} down")
    return downlink_bps


def _positive(rates_bps: Any) -> bool:
    return bool((rates_bps > 0).all()) if isinstance(rates_bps, np.ndarray) else bool(rates_bps > 0)
