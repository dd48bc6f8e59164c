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


@dataclass(frozen=True, slots=True)
class Space:
    """What to build. The ends are always built: ``input`` raw and with every JPEG, ``output`` raw.

    A codec is used at every split point that it fits, and only there: JPEG carries a frame, so it fits ``input`` of an
    image model; ``u1`` … ``u8`` fit where a floating-point tensor crosses; ``raw`` fits everywhere.

    Attributes:
        splits: names of split points, or module paths that end at one.
        widths: fractions of channels. This version of a bundle holds width 1 only.
        precisions: number formats of the terminal's arithmetic. This version holds ``fp32`` only.
        codecs: names of codecs.

    Example:
        >>> Space(splits=["blocks.3"], codecs=["raw", "u4+zstd", "jpeg@90"]).codecs
        ('raw', 'u4+zstd', 'jpeg@90')
    """

    splits: Sequence[str] = ()
    widths: Sequence[float] = (1.0,)
    precisions: Sequence[str] = ("fp32",)
    codecs: Sequence[str] = (RAW,)

    def __post_init__(self) -> None:
        for name in ("splits", "widths", "precisions", "codecs"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise LevelError(f"{name} is a sequence of names; got the one string {value!r}. Write [{value!r}].")
            object.__setattr__(self, name, tuple(dict.fromkeys(value)))
        if self.widths != (1.0,) or self.precisions != ("fp32",):
            raise LevelError(
                f"this version of adaedge builds bundles of width 1 in fp32 only; got widths {self.widths} and"
                f" precisions {self.precisions}. Leave both out."
            )
        for codec in self.codecs:
            get_codec(codec)


def codecs_for(split: str, crossing: Sequence[tuple[str, tuple[int, ...]]], codecs: Sequence[str]) -> tuple[str, ...]:
    """Those codecs that fit a split point.

    Args:
        split: its name.
        crossing: NumPy type and shape of each tensor that crosses.
        codecs: the codecs that were asked for.

    Raises:
        CodecError: if none of them fits a split point that was asked for.
    """
    if split == OUTPUT:
        return (RAW,)
    fitting = tuple(codec for codec in codecs if _fits(codec, split, crossing))
    if split == INPUT:
        return tuple(dict.fromkeys((RAW, *fitting)))
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
