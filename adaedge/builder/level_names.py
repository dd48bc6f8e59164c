"""Where the files and weights of a level are in a bundle; those of one level never have the names of another's.

May import: ``operating_point``.
"""

from __future__ import annotations

from adaedge.operating_point import FP32, FULL, Level


def folder_of(level: Level, kind: str) -> str:
    """The folder of a level's files of one kind.

    Example:
        >>> folder_of(Level(), "graphs"), folder_of(Level(width=0.5, precision="int8"), "graphs")
        ('graphs/', 'graphs/w0.5-int8/')
        >>> folder_of(Level("student", precision="int8"), "graphs")
        'networks/student/graphs/int8/'
    """
    # Below `networks/`, for a network may be called `graphs` or `w0.5`.
    parts = [*(() if level.network == FULL else ("networks", level.network)), kind, _setting(level)]
    return "".join(f"{part}/" for part in parts if part)


def prefix_of(level: Level) -> str:
    """The prefix of a weight's name in its network, so that two networks may call their weights alike.

    Example:
        >>> prefix_of(Level("student")) + "stem.weight", prefix_of(Level(width=0.5)) + "stem.weight"
        ('student/stem.weight', 'stem.weight')
    """
    return "" if level.network == FULL else f"{level.network}/"


def mark_of(level: Level) -> str:
    """The suffix of a weight's name: empty for the full width in fp32.

    Example:
        >>> mark_of(Level("student")), mark_of(Level(width=0.5, precision="int8"))
        ('', '@w0.5-int8')
    """
    return f"@{_setting(level)}" if _setting(level) else ""


def _setting(level: Level) -> str:
    width = [] if level.width == 1.0 else [f"w{level.width!r}"]
    return "-".join(width + ([] if level.precision == FP32 else [level.precision]))
