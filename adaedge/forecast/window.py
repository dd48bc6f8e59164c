"""The window: the range of joules of a local run in which partial offload is the best mode, at a rate, with a radio.

May import: ``errors``, ``energy``.

A local run takes E joules. A whole frame of B bytes takes what the radio needs for it, F(B); a cut behind a share h of
the local energy takes h·E + F(b). So partial offload is cheaper than local where ``E > F(b) / (1 − h)``, and cheaper
than full where ``E < (F(B) − F(b)) / h``. Where the radio's joules are only those of the bits that is
``b / (1 − h) < E / e_bit < (B − b) / h``. F holds everything else as well: waking, waiting, and falling asleep between
two frames. Where encoding the whole frame is a share of a local run too, h is the difference.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from adaedge.energy import EnergyModel
from adaedge.errors import ScheduleError

MODES = ("local", "full", "partial")


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to offload a frame.

    Attributes:
        name: of the split point and the codec, for people.
        payload_bytes: on the uplink.
        head_share: of a local run's seconds and joules, spent before the payload is there; 0 for the whole frame.
        answer_bytes: on the downlink.
        edge_s: seconds that the edge server computes.

    Raises:
        ScheduleError: if a figure is negative or not finite, or no bytes are sent.
    """

    name: str
    payload_bytes: float
    head_share: float = 0.0
    answer_bytes: float = 0.0
    edge_s: float = 0.0

    def __post_init__(self) -> None:
        figures = (self.payload_bytes, self.head_share, self.answer_bytes, self.edge_s)
        if not (all(math.isfinite(one) and one >= 0 for one in figures) and self.payload_bytes > 0):
            raise ScheduleError(f"an offer sends something, in finite figures that are at least 0; got {self}")


@dataclass(frozen=True, slots=True)
class Workload:
    """The work that a network asks of its terminal, however it is run.

    Attributes:
        local_s: seconds of a local run on the terminal.
        full: ways to send the whole frame.
        partial: ways to send what crosses a split point.
        macs: multiply-accumulates of a local run; ``None`` where they were not counted.
        assumptions: figures that were not measured, for people.
    """

    local_s: float
    full: tuple[Offer, ...]
    partial: tuple[Offer, ...]
    macs: float | None = None
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Joules of a local run between which partial offload is the best mode; empty where the first is not below.

    Attributes:
        offer: the cut that it is the window of; the widest one of the workload.
        above_j: above them it is cheaper than a local run.
        below_j: below them it is cheaper than a whole frame; infinite where nothing else ever is.
        local_j: of a local run as it is.
        macs: multiply-accumulates of a local run; ``None`` where they were not counted.
    """

    offer: str
    above_j: float
    below_j: float
    local_j: float
    macs: float | None = None

    @property
    def open(self) -> bool:
        """Whether there is any local energy at which partial offload is the best."""
        return self.above_j < self.below_j

    def as_dict(self) -> dict[str, Any]:
        """What a JSON document holds: per MAC too where they are counted; ``None`` stands for infinity."""
        found = asdict(self) | {"open": self.open}
        for name in ("above_j", "below_j", "local_j"):
            per_mac = found[name] / self.macs if self.macs else math.inf
            found[f"{name}_per_mac"] = per_mac if math.isfinite(per_mac) else None
        return found | {"below_j": self.below_j if math.isfinite(self.below_j) else None}


@dataclass(frozen=True, slots=True)
class Forecast:
    """Joules of a frame in each mode, in a steady stream of frames on one link.

    Attributes:
        local_j: of a local run.
        full_j: of the cheapest whole frame in time; ``None`` where none is.
        partial_j: of the cheapest cut in time; ``None`` where none is.
        full: which one that is; empty for none.
        partial: which one that is; empty for none.
        window: where partial offload would be the best; ``None`` where the workload has no cut.

    Example:
        >>> from adaedge.energy import RADIOS, ComputePower
        >>> heavy = Workload(1.0, (Offer("jpeg", 17e3),), (Offer("blocks.3", 2e3, head_share=0.1),))
        >>> found = Forecast.of(heavy, EnergyModel(ComputePower(4.0), RADIOS["nr-awake"]), 0.5e6, period_s=1.0)
        >>> found.best, round(found.partial_j, 3), found.full_j > found.local_j / 8, found.window.open
        ('partial', 0.463, True, True)
        >>> light = Workload(0.01, heavy.full, heavy.partial)
        >>> Forecast.of(light, EnergyModel(ComputePower(4.0), RADIOS["nr-drx"]), 0.5e6, period_s=1.0).best
        'local'
    """

    local_j: float
    full_j: float | None
    partial_j: float | None
    full: str
    partial: str
    window: Window | None

    @classmethod
    def of(
        cls,
        workload: Workload,
        energy: EnergyModel,
        rate_bps: float,
        *,
        period_s: float = 0.2,
        deadline_s: float = math.inf,
        round_trip_s: float = 0.02,
    ) -> Forecast:
        """The joules of each mode.

        Args:
            workload: what a frame asks.
            energy: the terminal's energy model.
            rate_bps: of the uplink; the answer comes at the same.
            period_s: seconds from a frame to the next: what the radio draws between two uploads.
            deadline_s: an offer that is later does not count.
            round_trip_s: seconds that an empty message takes there and back.

        Raises:
            ScheduleError: if a number is none above 0.
        """
        if not min(rate_bps, period_s, deadline_s, workload.local_s) > 0:
            raise ScheduleError("rate, period, deadline and the seconds of a local run are numbers above 0")
        local_j = float(energy.local(workload.local_s).total_j)

        full, partial = (
            [(offer, *radio_cost(offer, energy, rate_bps, period_s, round_trip_s)) for offer in offers]
            for offers in (workload.full, workload.partial)
        )

        def cheapest(offers: list[tuple[Offer, float, float]]) -> tuple[float | None, str]:
            in_time = [
                (offer.head_share * local_j + radio_j, offer.name)
                for offer, radio_j, took_s in offers
                if offer.head_share * workload.local_s + took_s <= deadline_s
            ]
            return min(in_time, default=(None, ""))

        whole = min(((o.head_share * local_j + j, o.head_share, j) for o, j, _ in full), default=(0.0, 0.0, math.inf))
        windows = [_window(offer, radio_j, whole[1:], local_j, workload.macs) for offer, radio_j, _ in partial]
        widest = max(windows, key=lambda one: (one.below_j / one.above_j, -one.above_j), default=None)
        (full_j, sent), (partial_j, cut) = cheapest(full), cheapest(partial)
        return cls(local_j, full_j, partial_j, sent, cut, widest)

    @property
    def best(self) -> str:
        """The mode of the least joules."""
        return min(
            zip((self.local_j, self.full_j, self.partial_j), MODES, strict=True),
            key=lambda one: math.inf if one[0] is None else one[0],
        )[1]

    @property
    def advice(self) -> str:
        """One sentence for people."""
        joules = {"local": self.local_j, "full": self.full_j, "partial": self.partial_j}
        others = {mode: spent for mode, spent in joules.items() if mode != self.best and spent is not None}
        if not others:
            return "Stay local: no offload is in time at this rate."
        second = min(others, key=others.__getitem__)
        saved = 1 - (joules[self.best] or 0.0) / others[second] if others[second] else 0.0
        words = f"{100 * saved:.0f} % less than {second}"
        if self.best == "local":
            return f"Stay local: it takes {words}."
        if self.best == "full":
            return f"Send the whole frame ({self.full}): it takes {words}."
        return f"Cut it ({self.partial}): partial offload takes {words}."

    def as_dict(self) -> dict[str, Any]:
        """What a JSON document holds."""
        window = None if self.window is None else self.window.as_dict()
        return asdict(self) | {"best": self.best, "advice": self.advice, "window": window}


def radio_cost(
    offer: Offer, energy: EnergyModel, rate_bps: float, period_s: float, round_trip_s: float = 0.02
) -> tuple[float, float]:
    """Joules of everything but the head, in a steady stream, and seconds from the payload to the answer."""
    wait_s = round_trip_s + offer.edge_s
    wait_s += float(energy.radio.hold_s(wait_s))
    took_s = 8 * (offer.payload_bytes + offer.answer_bytes) / rate_bps + wait_s
    gap_s = max(0.0, period_s - took_s)
    spent = energy.offload(
        0.0, offer.payload_bytes, rate_bps, wait_s, answer_bytes=offer.answer_bytes, gap_s=gap_s, idle_s=gap_s
    )
    return float(spent.total_j), took_s


def _window(offer: Offer, radio_j: float, whole: tuple[float, float], local_j: float, macs: float | None) -> Window:
    (whole_share, whole_j), share = whole, offer.head_share
    above_j, more = radio_j / (1 - share) if share < 1 else math.inf, share - whole_share
    below_j = max(0.0, whole_j - radio_j) / more if more > 0 else math.inf if whole_j > radio_j else 0.0
    return Window(offer.name, above_j, below_j, local_j, macs)
