"""Workloads of a profile, whose times were measured, and of a bundle, whose times follow from its MACs.

May import: ``errors``, ``energy``, ``operating_point``, ``bundle``; of this part ``window``.
"""

from __future__ import annotations

from collections.abc import Mapping

from adaedge.bundle import Bundle
from adaedge.energy import ComputePower
from adaedge.errors import ScheduleError
from adaedge.forecast.window import Offer, Workload
from adaedge.operating_point import INPUT, KEPT, OUTPUT, Cost, Level, OperatingPoint


def of_profile(profile: Mapping[OperatingPoint, Cost], accuracy_floor: float = 0.0) -> Workload:
    """The workload of a profile: the fastest local run, and every offload by its share of that.

    Args:
        profile: what every point costs.
        accuracy_floor: points below it do not count.

    Raises:
        ScheduleError: if no local point has the accuracy.
    """
    points = {point: cost for point, cost in profile.items() if point != KEPT and cost.meets(accuracy_floor)}
    local_s = min((cost.head_s for point, cost in points.items() if point.is_local), default=0.0)
    if not local_s:
        raise ScheduleError(f"no local point has an accuracy of {accuracy_floor:.4g}. Lower the accuracy floor.")
    full: list[Offer] = []
    partial: list[Offer] = []
    for point, cost in points.items():
        if not point.is_local:
            share = cost.terminal_s / local_s
            offer = Offer(str(point), cost.payload_bytes, share, cost.answer_bytes, cost.edge_s)
            (full if point.split == INPUT else partial).append(offer)
    return Workload(local_s, tuple(full), tuple(partial))


def of_bundle(bundle: Bundle, compute: ComputePower, accuracy_floor: float = 0.0) -> Workload:
    """The workload that follows from a bundle's MACs and bytes on a processor, in fp32 at full width.

    Args:
        bundle: the model.
        compute: a processor whose ``macs_per_s`` is known.
        accuracy_floor: points whose accuracy is known to be below it do not count.

    Raises:
        EnergyError: if the processor's throughput is not known.
    """
    manifest = bundle.manifest
    whole = manifest.cut(OUTPUT, Level())
    macs = whole.head.macs if whole.head else 0
    full: list[Offer] = []
    partial: list[Offer] = []
    for entry in manifest.points:
        point = entry.point
        below = entry.accuracy is not None and entry.accuracy.value < accuracy_floor
        if point.is_local or point == KEPT or below or point.level != Level() or not entry.payload_bytes:
            continue
        head = manifest.cut(point.split, Level()).head
        share = head.macs / macs if head else 0.0
        (full if point.split == INPUT else partial).append(Offer(str(point), entry.payload_bytes, share))
    told = ("the head's share of the energy is its share of the MACs", "the edge server computes in no time")
    return Workload(compute.seconds(macs), tuple(full), tuple(partial), macs, told)
