"""Space: the operating points that a bundle should hold, as the product of their dimensions.

May import: ``errors``, ``operating_point``, ``payload``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adaedge.errors import CodecError, LevelError
from adaedge.operating_point import INPUT, OUTPUT
from adaedge.payload import Jpeg, get_codec

RAW = "raw"
FP32 = "fp32"
INT8 = "int8"
PRECISIONS = (FP32, INT8)


@dataclass(frozen=True, slots=True)
class Space:
    """What to build. What is named here is built whole; a dimension that is ``None`` is chosen by `build`.

    The ends are always built: ``input`` (full offload) raw and with every JPEG, at width 1 in fp32, and ``output``
    (local) at every width and precision. An edge server has the power for the full width, and a narrower one would save
    the terminal nothing there. The full width in fp32, which all others are scored against, is always among the local
    ones. Between the ends every split point is built at every width and precision.

    A codec is used at every split point that it fits, and only there: JPEG carries a frame, so it fits ``input`` of an
    image model; ``u1`` … ``u8`` fit where a floating-point tensor crosses; ``raw`` fits everywhere.

    Attributes:
        splits: names of split points, or module paths that end at one.
        widths: fractions of channels, in (0, 1].
        precisions: number formats of the terminal's arithmetic, ``fp32`` or ``int8``. The edge runs fp32.
        codecs: names of codecs.

    Example:
        >>> Space(splits=["blocks.3"], widths=[0.5, 1], codecs=["raw", "u4+zstd", "jpeg@90"]).widths
        (1.0, 0.5)
    """

    splits: Sequence[str] | None = ()
    widths: Sequence[float] | None = (1.0,)
    precisions: Sequence[str] | None = (FP32,)
    codecs: Sequence[str] | None = (RAW,)

    def __post_init__(self) -> None:
        for name in ("splits", "widths", "precisions", "codecs"):
            value = getattr(self, name)
            if isinstance(value, str | int | float):
                raise LevelError(f"{name} is a sequence; got {value!r} alone. Write [{value!r}].")
            object.__setattr__(self, name, value if value is None else tuple(dict.fromkeys(value)))
        if self.widths is not None:
            object.__setattr__(self, "widths", _descending(self.widths))
        for codec in self.codecs or ():
            get_codec(codec)
        self._check_precisions(self.precisions)

    def holds(self, split: str, width: float, precision: str) -> bool:
        """Whether a split point is built at a level, where all dimensions are named.

        Args:
            split: one of ``splits``, or an end.
            width: fraction of channels.
            precision: number format.
        """
        full = (width, precision) == (1.0, FP32)
        if split == INPUT or (split == OUTPUT and full):
            return full
        return width in (self.widths or ()) and precision in (self.precisions or ())

    @staticmethod
    def _check_precisions(precisions: Sequence[str] | None) -> None:
        if precisions is None:
            return
        if not precisions:
            raise LevelError("precisions has none; name at least one of fp32 and int8, or leave it out")
        for precision in precisions:
            if precision not in PRECISIONS:
                raise LevelError(f"there is no precision {precision!r}; there are {' and '.join(PRECISIONS)}")


def _descending(widths: Sequence[float]) -> tuple[float, ...]:
    if not widths:
        raise LevelError("widths has none; name at least one, such as 1.0, or leave it out")
    for width in widths:
        if not (isinstance(width, int | float) and 0 < width <= 1):
            raise LevelError(f"width is the fraction of channels kept, in (0, 1]; got {width!r}")
    return tuple(sorted({float(width) for width in widths}, reverse=True))


def codecs_for(
    split: str, crossing: Sequence[tuple[str, tuple[int, ...]]], codecs: Sequence[str], otherwise: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Those codecs that fit a split point.

    Args:
        split: its name.
        crossing: NumPy type and shape of each tensor that crosses.
        codecs: the codecs that were asked for.
        otherwise: what to take where none of them fits.

    Raises:
        CodecError: if none of them fits a split point that was asked for.
    """
    if split == OUTPUT:
        return (RAW,)
    fitting = tuple(codec for codec in codecs if _fits(codec, split, crossing))
    if split == INPUT:
        return tuple(dict.fromkeys((RAW, *fitting)))
    fitting = fitting or otherwise
    if not fitting:
        tensors = ", ".join(f"{dtype} {shape}" for dtype, shape in crossing)
        raise CodecError(
            f"none of the codecs {', '.join(codecs) or '(none)'} can carry what crosses at {split!r} ({tensors})."
            " Add 'raw', or one of 'u1' to 'u8' where a floating-point tensor crosses."
        )
    return fitting


def _fits(codec: str, split: str, crossing: Sequence[tuple[str, tuple[int, ...]]]) -> bool:
    if isinstance(get_codec(codec), Jpeg):
        dtype, shape = crossing[0]
        return split == INPUT and len(crossing) == 1 and dtype == "uint8" and len(shape) == 4 and shape[3] == 3
    return codec.startswith(RAW) or any(np.issubdtype(np.dtype(dtype), np.floating) for dtype, _ in crossing)
