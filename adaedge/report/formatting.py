"""How a report writes a fraction, an operating point and the causes of energy.

May import: ``operating_point``, ``energy``.
"""

from __future__ import annotations

from adaedge.energy import EnergySplit
from adaedge.operating_point import FULL, OUTPUT, OperatingPoint

CAUSES = {
    "compute": ("compute_j",),
    "transmit": ("promote_j", "transmit_j", "receive_j"),
    "tail": ("tail_j",),
    "waiting": ("wait_j",),
}
"""What plots and tables stack: a word for the reader → the causes of ``EnergySplit`` that it adds up."""


def percent(fraction: float, digits: int = 0) -> str:
    """A fraction as a percentage.

    Example:
        >>> percent(0.256), percent(0.0123, 1)
        ('26 %', '1.2 %')
    """
    return f"{100 * fraction:.{digits}f} %"


def short(point: OperatingPoint) -> str:
    """An operating point without the parts that say nothing: the full network, width 1, fp32, raw.

    Example:
        >>> short(OperatingPoint("blocks.3", codec="u4+zstd")), short(OperatingPoint("output", width=0.5))
        ('blocks.3 u4+zstd', 'local w0.5')
        >>> short(OperatingPoint("output", network="student"))
        'local student'
        >>> short(OperatingPoint("output", incremental=True))
        'local incremental'
    """
    words = [
        "local" if point.split == OUTPUT else point.split,
        "" if point.network == FULL else point.network,
        "" if point.width == 1 else f"w{point.width:g}",
        "" if point.precision == "fp32" else point.precision,
        "" if point.codec == "raw" else point.codec,
        "incremental" if point.incremental else "",
    ]
    return " ".join(word for word in words if word)


def level(point: OperatingPoint) -> str:
    """The network, the width and the precision of a point.

    Example:
        >>> level(OperatingPoint("output")), level(OperatingPoint("blocks.3", 0.5, "int8"))
        ('fp32', 'width 0.5, int8')
        >>> level(OperatingPoint("output", network="student"))
        'student, fp32'
    """
    network = [] if point.network == FULL else [point.network]
    width = [] if point.width == 1 else [f"width {point.width:g}"]
    incremental = ["incremental"] if point.incremental else []
    return ", ".join([*network, *width, point.precision, *incremental])


def by_cause(energy: EnergySplit) -> dict[str, float]:
    """Joules by the reader's causes.

    Example:
        >>> by_cause(EnergySplit(compute_j=1.0, promote_j=2.0, transmit_j=3.0))
        {'compute': 1.0, 'transmit': 5.0, 'tail': 0.0, 'waiting': 0.0}
    """
    return {word: sum(getattr(energy, name) for name in names) for word, names in CAUSES.items()}
