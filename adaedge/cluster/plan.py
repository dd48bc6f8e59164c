"""ReplicaPlan: how many replicas there are, and what each is given.

May import: ``errors``, ``engine``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adaedge.engine import ONNX_RUNTIME
from adaedge.errors import LinkError

_COUNT = re.compile(r"([1-9]\d*)(?:-([1-9]\d*))?")


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """The request to Ray: how many replicas, and how large.

    Attributes:
        bundle: folder of the bundle, at the same path on every machine of the cluster.
        least: replicas that there always are.
        most: replicas that there are at most; more than ``least`` lets the load say how many.
        cores: of each replica: what Ray reserves for it, and how many frames it computes at the same time.
        threads: inside an operator.
        engine: that runs the bundle's graphs.

    Raises:
        LinkError: if a number is below 1, or ``most`` below ``least``.
    """

    bundle: str
    least: int = 1
    most: int = 1
    cores: int = 1
    threads: int = 1
    engine: str = ONNX_RUNTIME

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise LinkError(f"replicas are 1 or more, and at most as many as at least; got {self.least}-{self.most}")
        if self.cores < 1 or self.threads < 1:
            raise LinkError(f"cores and threads are 1 or more; got {self.cores} and {self.threads}")


def replica_range(text: str) -> tuple[int, int]:
    """The least and the most replicas in ``N`` or ``LEAST-MOST``.

    Raises:
        LinkError: if it is neither.

    Example:
        >>> replica_range("2"), replica_range("1-8")
        ((2, 2), (1, 8))
    """
    found = _COUNT.fullmatch(text)
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        raise LinkError(f"replicas are a number, such as 2, or a least and a most, such as 1-8; got {text!r}")
    return int(found[1]), int(found[2] or found[1])
