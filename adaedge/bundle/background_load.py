"""Opening: engines are loaded beside whatever else a start consists of.

May import: ``operating_point``; of this part ``bundle``.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from threading import Thread

from adaedge.bundle.bundle import Bundle
from adaedge.operating_point import OperatingPoint


def load_in_background(bundle: Bundle, points: Iterable[OperatingPoint]) -> Thread:
    """Load what the terminal runs at these points, local finishes included, while the caller goes on.

    ONNX Runtime leaves Python's lock alone while it loads a graph, so the caller can import what it needs next. Who
    asks for an engine before it is there waits for it. What cannot be loaded is loaded again, and raises, for whoever
    asks for it.

    Args:
        bundle: the model.
        points: which, the one that is needed first in front.

    Returns:
        The thread; the caller need not wait for it.
    """
    opening = Thread(target=_open, args=(bundle, tuple(points)), name="adaedge-opening")
    opening.start()
    return opening


def _open(bundle: Bundle, points: Iterable[OperatingPoint]) -> None:
    for point in points:
        with suppress(Exception):  # an engine whose package is imported while the interpreter ends raises anything
            bundle.route(point).load()
