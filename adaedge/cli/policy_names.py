"""Policies by name, for `adaedge simulate --policy`.

May import: ``errors``, ``named_objects``, ``operating_point``, ``scheduling``.
"""

from __future__ import annotations

from collections.abc import Callable

from adaedge.errors import ScheduleError
from adaedge.named_objects import own
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.scheduling import (
    AlwaysLocal,
    AlwaysPicture,
    AlwaysVideo,
    BestOf,
    ExpectedEnergy,
    Fixed,
    LeastEnergy,
    LeastLatency,
    LinearBandit,
    Neurosurgeon,
    Policy,
    RobustMPC,
    VirtualQueues,
)

NAMED: tuple[Callable[[], Policy], ...] = (
    *(ExpectedEnergy, LeastEnergy, RobustMPC, LinearBandit, BestOf, VirtualQueues),
    *(LeastLatency, Neurosurgeon, AlwaysLocal, AlwaysPicture, AlwaysVideo),
)
"""Those that need no argument."""


def policy_of(name: str, example: OperatingPoint) -> Policy | None:
    """The policy of a name, in one case or another, with hyphens or without; ``None``: the scheduler's own.

    Args:
        name: ``adaptive``, ``local``, a class of ``adaedge.scheduling``, an operating point, which is then fixed, or
            ``package.module:NAME`` of the user's own.
        example: an operating point, for the error.

    Raises:
        ScheduleError: if there is none.

    Example:
        >>> policy_of("robust-mpc", OperatingPoint("output"))
        RobustMPC(frames=20, hysteresis=0.05)
    """
    if name == "adaptive":
        return None
    if name == "local":
        return Fixed(OperatingPoint(OUTPUT))
    if ":" in name:
        policy: Policy = own(name, None, ScheduleError)
        return policy
    if "/" in name:
        return Fixed(OperatingPoint.parse(name))
    known = {policy.__name__.lower(): policy for policy in NAMED}
    found = known.get(name.lower().replace("-", "").replace("_", ""))
    if found is None:
        names = ", ".join(policy.__name__ for policy in NAMED)
        raise ScheduleError(
            f"no policy {name!r}; there are: adaptive, local, static, clairvoyant, {names}, an operating point such as"
            f" {example}, or package.module:NAME of yours"
        )
    return found()
