"""What a terminal does before its first frame: compare the profile with the bundle, and load what frames will need.

May import: ``errors``, ``operating_point``, ``bundle``, ``stream``, ``scheduling``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from adaedge.bundle import Bundle, load_in_background
from adaedge.errors import ScheduleError
from adaedge.operating_point import OperatingPoint
from adaedge.scheduling import Table
from adaedge.stream import Runners


def preload(bundle: Bundle, points: Iterable[OperatingPoint], runners: Runners) -> None:
    """Load and run once everything that these points may need, their local finish included.

    What segments of incremental heads cost on this machine is measured besides.
    """
    points = [*points]
    routes = [bundle.route(point) for point in points]
    load_in_background(bundle, points)  # one is run here while the next is loaded there
    zeros = tuple(np.zeros(spec.shape, spec.dtype) for spec in bundle.manifest.inputs)
    for route in {(route.point.split, route.point.level): route for route in routes}.values():
        outputs = route.finish.run(route.head.run(zeros))
        bundle.answers.write(bundle.answers.reduce(outputs))
    for route in routes:
        if route.point.incremental:
            runners.measure(route, zeros)


def points_of(table: Table) -> tuple[OperatingPoint, ...]:
    """The points that a terminal runs for a scheduler's table: its points, and of a cascade its two."""
    cascades = table.cascades
    both = (point for one, _ in cascades.values() for point in (one.first, one.then))
    return tuple(dict.fromkeys([*(point for point in table.points if point not in cascades), *both]))


def check_points(points: Sequence[OperatingPoint], bundle: Bundle) -> None:
    """Refuse a profile of another bundle.

    Raises:
        ScheduleError: if it names points that the bundle does not hold.
    """
    strange = [str(point) for point in points if point not in bundle.points]
    if strange:
        raise ScheduleError(
            f"the profile names points that this bundle does not hold: {', '.join(strange[:3])}."
            " Profile this bundle with `adaedge profile`."
        )
