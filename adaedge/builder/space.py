"""Space: the operating points that a bundle should hold, as the product of their dimensions.

May import: ``errors``, ``operating_point``, ``payload``, ``graph``, ``levels``, ``bottleneck``; of this part
``bottlenecks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adaedge.bottleneck import Bottleneck
from adaedge.builder.bottlenecks import carries
from adaedge.errors import CodecError, LevelError
from adaedge.graph import CrossingTensor, SplitPoint
from adaedge.levels.channel_groups import check_multiple
from adaedge.operating_point import INPUT, OUTPUT
from adaedge.payload import BOTTLENECK, DELTA, Jpeg, OwnCodec, get_codec, uses_bottleneck
from adaedge.payload.image_codecs import Avif, WebP
from adaedge.payload.own import check_own_name
from adaedge.payload.video import Video

RAW = "raw"
LATENT = frozenset({BOTTLENECK, DELTA})
"""Codecs that a bottleneck is fitted for."""
FP32 = "fp32"
INT8 = "int8"
PRECISIONS = (FP32, INT8)
AnyCodec = str | Bottleneck | OwnCodec


@dataclass(frozen=True, slots=True)
class Space:
    """What to build. What is named here is built whole; a dimension that is ``None`` is chosen by `build`.

    The ends are always built: ``input`` (full offload) raw and with every codec that carries frames, at width 1 in
    fp32, and ``output`` (local) at every width and precision. An edge server has the power for the full width, and a
    narrower one would save the terminal nothing there. The full width in fp32, which all others are scored against, is
    always among the local ones. Between the ends every split point is built at every width and precision.

    A codec is used at every split point that it fits, and only there: JPEG carries a frame, so it fits ``input`` of an
    image model or its windows, and so do video codecs, where the example is one; ``u1`` … ``u8`` fit where a
    floating-point tensor crosses; ``raw`` fits everywhere. ``bottleneck`` fits between the ends, where tensors with
    channels cross that share a grid: one is fitted for each width, and built with all its rates, ``bottleneck@0`` and
    more; ``delta`` likewise, the same bottlenecks with tables of what changes from frame to frame, which are fitted on
    clips. A `Bottleneck` of your own fits at its split point, at width 1; a codec of your own where it says that it
    fits.

    Attributes:
        splits: names of split points, or module paths that end at one.
        widths: fractions of channels, in (0, 1].
        precisions: number formats of the terminal's arithmetic, ``fp32`` or ``int8``. The edge runs fp32.
        codecs: names of codecs, bottlenecks that were fitted before, and codecs of your own.
        multiple: a plain network's narrower widths keep channels in multiples of this; an `Elastic` has its own.

    Example:
        >>> Space(splits=["blocks.3"], widths=[0.5, 1], codecs=["raw", "u4+zstd", "jpeg@90"]).widths
        (1.0, 0.5)
    """

    splits: Sequence[str] | None = ()
    widths: Sequence[float] | None = (1.0,)
    precisions: Sequence[str] | None = (FP32,)
    codecs: Sequence[AnyCodec] | None = (RAW,)
    multiple: int = 1

    def __post_init__(self) -> None:
        for name in ("splits", "widths", "precisions", "codecs"):
            value = getattr(self, name)
            if isinstance(value, str | int | float | Bottleneck):
                raise LevelError(f"{name} is a sequence; got {value!r} alone. Write [{value!r}].")
            if value is not None:
                object.__setattr__(self, name, tuple({_key(one): one for one in value}.values()))
        if self.widths is not None:
            object.__setattr__(self, "widths", _descending(self.widths))
        for codec in self.codecs or ():
            _check_codec(codec)
        self._check_precisions(self.precisions)
        check_multiple(self.multiple)

    @property
    def own_codecs(self) -> tuple[OwnCodec, ...]:
        """The codecs from outside the package."""
        return tuple(codec for codec in self.codecs or () if not isinstance(codec, str | Bottleneck))

    @property
    def has_bottlenecks(self) -> bool:
        """Whether bottlenecks are to be fitted."""
        return any(codec in LATENT for codec in self.codecs or () if isinstance(codec, str))

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


def _key(value: object) -> object:
    """What of a dimension is named twice counts once; a codec of one's own by its name, for it may not be hashable."""
    return value if isinstance(value, str | int | float | Bottleneck) else getattr(value, "name", id(value))


def _check_codec(codec: AnyCodec) -> None:
    if isinstance(codec, Bottleneck) or (isinstance(codec, str) and codec in LATENT):
        return
    if not isinstance(codec, str):
        check_own_name(codec.name)
        return
    if uses_bottleneck(codec):
        family = codec.partition("@")[0]
        raise CodecError(f"{codec!r} is one rate; a bottleneck is built with all of its rates. Write {family!r}.")
    get_codec(codec)


def _descending(widths: Sequence[float]) -> tuple[float, ...]:
    if not widths:
        raise LevelError("widths has none; name at least one, such as 1.0, or leave it out")
    for width in widths:
        if not (isinstance(width, int | float) and 0 < width <= 1):
            raise LevelError(f"width is the fraction of channels kept, in (0, 1]; got {width!r}")
    return tuple(sorted({float(width) for width in widths}, reverse=True))


def codecs_for(point: SplitPoint, space: Space, otherwise: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Those codecs of a space that fit a split point; a bottleneck as ``bottleneck``, whoever fits it.

    Args:
        point: the split point, named as the user's model has it.
        space: the codecs that were asked for, and at which widths.
        otherwise: what to take where none of them fits.

    Raises:
        CodecError: if none of them fits a split point that was asked for.
    """
    if point.name == OUTPUT:
        return (RAW,)
    own = own_bottleneck(point, space.codecs or ())
    names = tuple(
        codec if isinstance(codec, str) else codec.name
        for codec in space.codecs or ()
        if not isinstance(codec, Bottleneck) and _fits(codec, point)
    )
    fitting = tuple(dict.fromkeys((*names, BOTTLENECK) if own else names))
    if point.name == INPUT:
        return tuple(dict.fromkeys((RAW, *fitting)))
    fitting = fitting or otherwise
    if not fitting or (not names and {*(space.widths or ())} != {1.0}):
        at = f"{point.name!r} ({_tensors(point)})" + (" at widths below 1" if fitting else "")
        raise CodecError(
            f"none of the codecs {', '.join(map(_name, space.codecs or ())) or '(none)'} can carry what crosses at"
            f" {at}. Add 'raw', or one of 'u1' to 'u8' where a floating-point tensor crosses."
        )
    return fitting


def check_fits(points: Sequence[SplitPoint], codecs: Sequence[AnyCodec]) -> None:
    """Refuse a codec that would be used nowhere.

    Raises:
        CodecError: if there is one.
    """
    places = [point for point in points if point.name != OUTPUT]
    for codec in codecs:
        if not isinstance(codec, Bottleneck) and not any(_fits(codec, point) for point in places):
            there = "; ".join(f"{point.name} ({_tensors(point)})" for point in places)
            raise CodecError(
                f"the codec {_name(codec)} fits none of the split points that are built: {there}. Pictures and videos"
                " carry uint8 frames at `input` (give `preprocessing`), u1 to u8 floating-point tensors, a bottleneck"
                " those with channels between the ends. Name such a split point, or leave it out."
            )


def check_own(points: Sequence[SplitPoint], space: Space) -> None:
    """Refuse a bottleneck of the user's that would not be used.

    Args:
        points: the split points that are built.
        space: what to build.

    Raises:
        CodecError: if its split point is not among them, or width 1 is not built.
    """
    inner = [point for point in points if point.name not in (INPUT, OUTPUT)]
    for codec in space.codecs or ():
        if not isinstance(codec, Bottleneck):
            continue
        if not any(codec.split in (point.name, *point.aliases) for point in inner):
            splits = ", ".join(point.name for point in inner) or "none"
            raise CodecError(
                f"the bottleneck for split point {codec.split!r} fits none of the split points that are built:"
                f" {splits}. Name it in `splits`, or leave the bottleneck out."
            )
        if 1.0 not in (space.widths or ()):
            raise CodecError(
                f"the bottleneck for split point {codec.split!r} is of width 1, which is not built. Add 1 to `widths`,"
                f" or write {BOTTLENECK!r} to have one fitted for each width."
            )


def own_bottleneck(point: SplitPoint, codecs: Sequence[AnyCodec]) -> Bottleneck | None:
    """The user's own bottleneck for a split point; the last of several."""
    names = {point.name, *point.aliases}
    found = [codec for codec in codecs if isinstance(codec, Bottleneck) and codec.split in names]
    return found[-1] if found else None


def _name(codec: AnyCodec) -> str:
    if isinstance(codec, Bottleneck):
        return f"{BOTTLENECK} for {codec.split!r}"
    return codec if isinstance(codec, str) else codec.name


def _fits(name: str | OwnCodec, point: SplitPoint) -> bool:
    if isinstance(name, str) and name in LATENT:
        return carries(point.name, point.crossing)
    tensors = [(tensor.dtype, tensor.shape) for tensor in point.crossing]
    if not isinstance(name, str):
        return name.fits(tensors)
    codec = get_codec(name)
    if isinstance(codec, Video):
        return point.name == INPUT and codec.fits(tensors)
    if isinstance(codec, Jpeg | WebP | Avif):
        return point.name == INPUT and _is_frame(point.crossing)
    return name.startswith(RAW) or any(np.issubdtype(np.dtype(tensor.dtype), np.floating) for tensor in point.crossing)


def _tensors(point: SplitPoint) -> str:
    return ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in point.crossing)


def _is_frame(crossing: Sequence[CrossingTensor]) -> bool:
    (tensor, *others) = crossing
    return not others and tensor.dtype == "uint8" and len(tensor.shape) in (4, 5) and tensor.shape[-1] == 3
