"""Which codecs of a space fit which split points.

May import: ``errors``, ``operating_point``, ``payload``, ``graph``, ``bottleneck``; of this part ``bottlenecks``,
``space``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaedge.bottleneck import Bottleneck
from adaedge.builder.bottlenecks import carries
from adaedge.builder.space import LATENT, RAW, AnyCodec, Space
from adaedge.errors import CodecError
from adaedge.graph import CrossingTensor, SplitPoint
from adaedge.operating_point import INPUT, OUTPUT
from adaedge.payload import BOTTLENECK, Jpeg, OwnCodec, get_codec
from adaedge.payload.image_codecs import Avif, WebP
from adaedge.payload.video import Video


def codecs_for(point: SplitPoint, space: Space, otherwise: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The codecs of a space that fit a split point; a bottleneck is named ``bottleneck``, whoever fits it.

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
