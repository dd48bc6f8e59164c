"""The choice of dimensions that the user did not name, and of the points that are worth keeping.

May import: ``operating_point``, ``payload``, ``graph``, ``levels``, ``bottleneck``; of ``bundle`` the manifest; of this
part ``space``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from adaedge.bottleneck import Bottleneck
from adaedge.builder.space import INT8, AnyCodec, Space
from adaedge.bundle.entries import Accuracy, PointEntry
from adaedge.graph import SplitPoint, efficient
from adaedge.levels import WIDTHS
from adaedge.operating_point import FP32, INPUT, OUTPUT, OperatingPoint
from adaedge.payload import BOTTLENECK, DELTA
from adaedge.payload.video import available

CODECS = ("u8+zstd", "u4+zstd", "jpeg@90")
CODECS_WITH_SAMPLES = ("u8+zstd", "jpeg@90", BOTTLENECK)
VIDEO = "h264@24"
_MOST_SPLITS = 6
_MOST_WIDTHS = 4
_USABLE = 0.5


def with_levels(space: Space, *, own: Sequence[float] | None, calibrated: bool, scored: bool) -> Space:
    """The space with widths and precisions chosen where they are not named.

    Without samples there is one level: int8 cannot be calibrated, and nothing tells a good width from a bad one.

    Args:
        space: what the user named.
        own: the widths of the user's `Elastic`; ``None`` for a plain network.
        calibrated: whether there are samples.
        scored: whether accuracy can be measured on them.
    """
    widths, precisions = space.widths, space.precisions
    if widths is None:
        widths = _spread(own) if own else WIDTHS if scored else (1.0,)
    if precisions is None:
        precisions = (FP32, INT8) if calibrated else (FP32,)
    return replace(space, widths=widths, precisions=precisions)


def with_splits(space: Space, points: Sequence[SplitPoint], *, calibrated: bool, clips: bool = False) -> Space:
    """The space with split points and codecs chosen where they are not named.

    Args:
        space: what the user named.
        points: the model's split points, in execution order.
        calibrated: whether there are samples, which a bottleneck is fitted on.
        clips: whether there are clips among them, which a video codec is measured and changes of latents are fitted on.
    """
    codecs: Sequence[AnyCodec] = CODECS_WITH_SAMPLES if calibrated else CODECS
    codecs = (*codecs, DELTA) if clips else codecs
    if clips and any(VIDEO.startswith(f"{each.codec}@") and each.encoder for each in available()):
        codecs = (*codecs, VIDEO)
    codecs = codecs if space.codecs is None else space.codecs
    own = [codec.split for codec in codecs if isinstance(codec, Bottleneck)]
    first = points[0]
    # A frame counts as the floats that it becomes: a codec shrinks features at least as much.
    floats = 4 * sum(math.prod(tensor.shape) for tensor in first.crossing)
    points = [replace(first, payload_bytes=max(first.payload_bytes, floats)), *points[1:]]
    splits = (*efficient(points, _MOST_SPLITS), *own) if space.splits is None else space.splits
    return replace(space, splits=splits, codecs=codecs)


def _spread(widths: Sequence[float]) -> tuple[float, ...]:
    """At most so many widths, the first and the last among them."""
    count = min(len(widths), _MOST_WIDTHS)
    return tuple(widths[round(at * (len(widths) - 1) / max(count - 1, 1))] for at in range(count))


def usable(local: Accuracy, full: Accuracy) -> bool:
    """Whether a width that was chosen here, not named, is worth building.

    Its answers must be right at least half as often as the full width's. A plain network's narrow widths seldom are,
    before they are trained or repaired.

    Args:
        local: of the width, run locally.
        full: of the full width.
    """
    return local.value >= _USABLE * full.value


def left_out(width: float, local: Accuracy, full: Accuracy) -> str:
    """Why a width is not built, for people; arguments as of `usable`."""
    return (
        f"width {width:g} is left out: its {local.metric} is {local.value:.3f}, the full width's {full.value:.3f}."
        " Train or repair an `Elastic` and build that, or name `widths` to build them as they are."
    )


def pareto_filter(
    entries: Sequence[PointEntry], head_macs: Mapping[OperatingPoint, int], named: Space
) -> tuple[PointEntry, ...]:
    """The points that can be the best choice somewhere.

    A point is left out if another is better in one of these and worse in none: MACs of the head, mean payload at each
    amount of change, accuracy. No rate of the link, no accuracy floor and no edge server that is at least as fast as
    the terminal would prefer it. Only points of one network and precision are compared: which of two precisions is
    faster shows on the terminal only.
    Where a dimension was named by the user, only points that are equal in it are, so that everything that was named
    stays. The ends always stay, and so does what has no measured accuracy.

    Args:
        entries: the points, measured.
        head_macs: what the terminal computes at each.
        named: what the user named; ``None`` for a dimension that was chosen for them.

    Example:
        >>> good = Accuracy("agreement", 0.98, 500, 0.96, 0.99)
        >>> sizes = {"a": 9.0, "b": 9.5, "c": 4.0}
        >>> entries = [PointEntry(OperatingPoint(name, codec="u8"), size, good) for name, size in sizes.items()]
        >>> macs = {entry.point: 10 * at for at, entry in enumerate(entries)}
        >>> [entry.point.split for entry in pareto_filter(entries, macs, Space(splits=None))]
        ['a', 'c']
    """

    def dominated(entry: PointEntry) -> bool:
        return any(
            _comparable(one, entry, named) and _better(one, entry, head_macs[one.point], head_macs[entry.point])
            for one in entries
        )

    return tuple(entry for entry in entries if entry.point.split in (INPUT, OUTPUT) or not dominated(entry))


def _comparable(one: PointEntry, other: PointEntry, named: Space) -> bool:
    alike = {"network", "precision", "incremental"}
    alike |= {"split"} if named.splits is not None else set()
    alike |= {"width"} if named.widths is not None else set()
    alike |= {"codec"} if named.codecs is not None else set()
    return all(getattr(one.point, name) == getattr(other.point, name) for name in alike)


def _better(one: PointEntry, other: PointEntry, one_macs: int, other_macs: int) -> bool:
    if one.accuracy is None or other.accuracy is None:
        return False
    steps = max(len(one.next_bytes), len(other.next_bytes))
    mine = (one_macs, *_sizes(one, steps), -one.accuracy.value)
    theirs = (other_macs, *_sizes(other, steps), -other.accuracy.value)
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def _sizes(entry: PointEntry, steps: int) -> tuple[float, ...]:
    """Mean payload at each amount of change; the same at all where a codec has no state."""
    return *(entry.next_bytes or (entry.payload_bytes,) * steps), entry.payload_bytes
