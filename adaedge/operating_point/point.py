"""OperatingPoint: one way to run the model.

May import: ``errors``.
"""

from __future__ import annotations

from dataclasses import dataclass

from adaedge.errors import LevelError

INPUT = "input"
OUTPUT = "output"
FP32 = "fp32"


@dataclass(frozen=True, slots=True, order=True)
class OperatingPoint:
    """One way to run the model.

    Attributes:
        split: name of the split point; everything before it runs on the terminal. ``input`` is full offload,
            ``output`` is local execution.
        width: fraction of channels kept, in (0, 1].
        precision: number format of the terminal's arithmetic.
        codec: how the features become bytes; ``raw`` where nothing is sent.

    Example:
        >>> str(OperatingPoint("blocks.3", codec="u4+zstd"))
        'blocks.3/w1/fp32/u4+zstd'
        >>> OperatingPoint.parse("blocks.3/w1/fp32/u4+zstd").codec
        'u4+zstd'
    """

    split: str
    width: float = 1.0
    precision: str = FP32
    codec: str = "raw"

    def __post_init__(self) -> None:
        if not self.split:
            raise LevelError("split is the name of a split point; got an empty name")
        if not 0 < self.width <= 1:
            raise LevelError(f"width is the fraction of channels kept, in (0, 1]; got {self.width}")

    @property
    def is_local(self) -> bool:
        """Whether the terminal answers alone and sends nothing."""
        return self.split == OUTPUT

    def __str__(self) -> str:
        width = repr(float(self.width)).removesuffix(".0")  # not `:g`, which would not read back
        return f"{self.split}/w{width}/{self.precision}/{self.codec}"

    @classmethod
    def parse(cls, text: str) -> OperatingPoint:
        """Read what ``str(point)`` wrote.

        Raises:
            LevelError: if ``text`` is not of the form ``SPLIT/wWIDTH/PRECISION/CODEC``.
        """
        try:
            split, width, precision, codec = text.rsplit("/", 3)
            return cls(split, float(width.removeprefix("w")), precision, codec)
        except ValueError as error:
            raise LevelError(f"an operating point is written SPLIT/wWIDTH/PRECISION/CODEC; got {text!r}") from error
