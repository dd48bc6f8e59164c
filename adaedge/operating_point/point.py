"""OperatingPoint: one way to run the model.

May import: ``errors``; of this part ``level``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adaedge.errors import LevelError
from adaedge.operating_point.level import FP32, FULL, Level

INPUT = "input"
OUTPUT = "output"
_KEPT = "kept"
_INCREMENTAL = "incremental"
_WRITTEN = re.compile(
    rf"(.+)/w([0-9.]+(?:e-[0-9]+)?)/([^/]+)/([^/]+)(?:/(?!{_INCREMENTAL}$)([^/]+))?(/{_INCREMENTAL})?", re.DOTALL
)


@dataclass(frozen=True, slots=True, order=True)
class OperatingPoint:
    """One way to run the model.

    Attributes:
        split: name of the split point; everything before it runs on the terminal. ``input`` is full offload,
            ``output`` is local execution; at ``kept`` the last answer is given again, and nothing runs.
        width: fraction of channels kept, in (0, 1].
        precision: number format of the terminal's arithmetic.
        codec: how the features become bytes; ``raw`` where nothing is sent.
        network: ``full``, or the name of a student or a light head in the same bundle.
        incremental: whether only what changed is computed.

    Raises:
        LevelError: if the split point or the network has no name, the width is no fraction in (0, 1], or ``kept`` is
            not alone.

    Example:
        >>> str(OperatingPoint("blocks.3", codec="u4+zstd"))
        'blocks.3/w1/fp32/u4+zstd'
        >>> OperatingPoint.parse("blocks.3/w1/fp32/u4+zstd").codec
        'u4+zstd'
        >>> str(OperatingPoint("output", network="student", incremental=True))
        'output/w1/fp32/raw/student/incremental'
    """

    split: str
    width: float = 1.0
    precision: str = FP32
    codec: str = "raw"
    network: str = FULL
    incremental: bool = False

    def __post_init__(self) -> None:
        if not self.split:
            raise LevelError("split is the name of a split point; got an empty name")
        Level(self.network, self.width, self.precision)
        others = self.width, self.precision, self.codec, self.network, self.incremental
        if self.split == _KEPT and others != (1.0, FP32, "raw", FULL, False):
            raise LevelError(f"{_KEPT!r} keeps the last answer as it is: no level and no codec; got {others}")

    @property
    def level(self) -> Level:
        """Network, width and precision."""
        return Level(self.network, self.width, self.precision)

    @property
    def place(self) -> tuple[str, str, float]:
        """Split point, network and width: two points of one place send the same features, but for their precision."""
        return self.split, self.network, self.width

    @property
    def is_local(self) -> bool:
        """Whether the terminal answers alone and sends nothing."""
        return self.split in (OUTPUT, _KEPT)

    def __str__(self) -> str:
        width = repr(float(self.width)).removesuffix(".0")  # not `:g`, which would not read back
        parts = [self.split, f"w{width}", self.precision, self.codec]
        return "/".join(parts + [self.network] * (self.network != FULL) + [_INCREMENTAL] * self.incremental)

    @classmethod
    def parse(cls, text: str) -> OperatingPoint:
        """Read what ``str(point)`` wrote.

        Raises:
            LevelError: if ``text`` is not of the form ``SPLIT/wWIDTH/PRECISION/CODEC``, behind which there may be
                ``/NETWORK`` and ``/incremental``.
        """
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise LevelError(f"an operating point is written SPLIT/wWIDTH/PRECISION/CODEC; got {text!r}")
        split, width, precision, codec, network, incremental = match.groups()
        return cls(split, float(width), precision, codec, network or FULL, incremental is not None)
