"""Space: the operating points that a bundle should hold, as the product of their dimensions.

May import: ``errors``, ``operating_point``, ``payload``, ``levels``, ``bottleneck``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from adaedge.bottleneck import Bottleneck
from adaedge.errors import CacheError, CodecError, LevelError
from adaedge.levels import Elastic
from adaedge.levels.channel_groups import check_multiple
from adaedge.operating_point import FP32, FULL, INPUT, OUTPUT, Level
from adaedge.payload import BOTTLENECK, DELTA, OwnCodec, get_codec, uses_bottleneck
from adaedge.payload.own import check_own_name

RAW = "raw"
LATENT = frozenset({BOTTLENECK, DELTA})
"""Codecs that a bottleneck is fitted for."""
INT8 = "int8"
PRECISIONS = (FP32, INT8)
AnyCodec = str | Bottleneck | OwnCodec
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Space:
    """The points to build. A dimension that is named is built whole; `build` chooses one that is ``None``.

    The ends are always built: ``input`` (full offload) raw and with every codec that carries frames, at width 1 in
    fp32, and ``output`` (local) at every width and precision. An edge server has the power for the full width, and a
    narrower one would save the terminal nothing there. The full width in fp32, which all others are scored against, is
    always among the local ones. Between the ends every split point is built at every width and precision.

    Further networks, such as a student, stand beside the full one: each takes the same inputs, and its answers have the
    same structure, shapes and types. Each is built at width 1, for widths are slices of one weight set, and at every
    precision: ``output``, and those of ``splits`` that it has. A name in ``splits`` need be a split point of one of the
    networks only; where splits are chosen, they are for each network. ``input`` is the full network's alone.

    A codec is used at every split point that it fits, and only there: JPEG carries a frame, so it fits ``input`` of an
    image model or its windows, and so do video codecs, where the example is one; ``u1`` … ``u8`` fit where a
    floating-point tensor crosses; ``raw`` fits everywhere. ``bottleneck`` fits between the ends, where tensors with
    channels cross that share a grid: one is fitted for each width, and built with all its rates, ``bottleneck@0`` and
    more; ``delta`` likewise, the same bottlenecks with tables of what changes from frame to frame, which are fitted on
    clips. A `Bottleneck` of your own fits at its split point of the full network, at width 1; a codec of your own where
    it says that it fits.

    Attributes:
        splits: names of split points, or module paths that end at one.
        widths: fractions of channels, in (0, 1].
        precisions: number formats of the terminal's arithmetic, ``fp32`` or ``int8``. The edge runs fp32.
        codecs: names of codecs, bottlenecks that were fitted before, and codecs of your own.
        kept: whether the bundle says how good kept answers are: ``True`` refuses clips that cannot tell, ``False``
            keeps no answers; where it is ``None``, it does if there are clips that can tell, else the manifest's
            ``not_kept`` says why.
        multiple: a plain network's narrower widths keep channels in multiples of this; an `Elastic` has its own.
        networks: name → a further network; ``full`` is the one that is built. The name is part of file names: letters,
            digits, ``.``, ``_`` and ``-``.
        incremental: ``True`` among them builds each head incremental too, that of the local points included: of a
            stream's frames only what changed is computed. What that costs at which change is measured on clips: without
            any, none is chosen.
        tolerance: of incremental points, see `adaedge.Incremental`: 0 computes whatever changed, and answers are those
            of the whole network but for rounding.

    Raises:
        LevelError: if a width, a precision or a network is none, or has a name that it cannot have.
        CodecError: if there is no such codec.
        CacheError: if the tolerance is no share.

    Example:
        >>> Space(splits=["blocks.3"], widths=[0.5, 1], codecs=["raw", "u4+zstd", "jpeg@90"]).widths
        (1.0, 0.5)
    """

    splits: Sequence[str] | None = ()
    widths: Sequence[float] | None = (1.0,)
    precisions: Sequence[str] | None = (FP32,)
    codecs: Sequence[AnyCodec] | None = (RAW,)
    multiple: int = 1
    kept: bool | None = None
    networks: Mapping[str, nn.Module] = field(default_factory=dict, hash=False)
    incremental: Sequence[bool] = (False,)
    tolerance: float = 0.0

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
        _check_incremental(self.incremental, self.tolerance)
        check_multiple(self.multiple)
        _check_networks(self.networks)
        object.__setattr__(self, "networks", dict(self.networks))

    @property
    def own_codecs(self) -> tuple[OwnCodec, ...]:
        """The codecs from outside the package."""
        return tuple(codec for codec in self.codecs or () if not isinstance(codec, str | Bottleneck))

    @property
    def has_bottlenecks(self) -> bool:
        """Whether bottlenecks are to be fitted."""
        return any(codec in LATENT for codec in self.codecs or () if isinstance(codec, str))

    def of(self, network: str) -> Space:
        """The part of this space for one network: a further one has width 1, and no bottleneck of the full one's."""
        if network == FULL:
            return self
        codecs = None if self.codecs is None else [one for one in self.codecs if not isinstance(one, Bottleneck)]
        return replace(self, widths=(1.0,), codecs=codecs)

    def holds(self, split: str, level: Level) -> bool:
        """Whether a split point is built at a level of the network whose space this is, where all dimensions are named.

        Args:
            split: one of ``splits``, or an end.
            level: network, width and precision.
        """
        if split == INPUT or (split == OUTPUT and level == Level()):
            return level == Level()
        return level.width in (self.widths or ()) and level.precision in (self.precisions or ())

    @staticmethod
    def _check_precisions(precisions: Sequence[str] | None) -> None:
        if precisions is None:
            return
        if not precisions:
            raise LevelError("precisions has none; name at least one of fp32 and int8, or leave it out")
        for precision in precisions:
            if precision not in PRECISIONS:
                raise LevelError(f"there is no precision {precision!r}; there are {' and '.join(PRECISIONS)}")


def _check_incremental(incremental: object, tolerance: float) -> None:
    if (
        not isinstance(incremental, Sequence)
        or not incremental
        or not all(isinstance(one, bool) for one in incremental)
    ):
        raise LevelError(f"incremental is a sequence of False and True, such as (False, True); got {incremental!r}")
    if not 0 <= tolerance < 1:
        raise CacheError(f"tolerance is a share of a tensor's spread, in [0, 1); got {tolerance}")


def _check_networks(networks: object) -> None:
    if not isinstance(networks, Mapping):
        raise LevelError(f"networks maps names to modules, such as {{'student': net}}; got a {type(networks).__name__}")
    for name, net in networks.items():
        if name == FULL:
            raise LevelError(f"{FULL!r} is the network that is built; give one of `networks` another name")
        if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
            raise LevelError(
                "the name of a network is up to 64 letters, digits, `.`, `_` and `-`, a letter or digit first; got"
                f" {name!r}"
            )
        Level(name)  # refuses what no level may be called
        if isinstance(net, Elastic):
            raise LevelError(
                f"the network {name!r} is an Elastic, and one beside the full network has width 1 only. Give"
                " `elastic.extract(width)`, or build the Elastic itself."
            )
        if not isinstance(net, nn.Module):
            raise LevelError(f"the network {name!r} is a torch.nn.Module; got a {type(net).__name__}")


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
