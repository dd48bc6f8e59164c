"""Codecs from outside the package.

May import: ``errors``; of this part ``codecs``, ``message``, ``reference``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, final

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.codecs import Codec
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.reference import Encoded, Reference

_NAME = re.compile(r"([a-z][a-z0-9-]*)(?:@[0-9]+)?")
_OURS = re.compile(r"raw|u[0-9]+|jpeg|jpeg444|webp|avif|(?:h264|hevc|av1)(?:-444)?|bottleneck|delta|kept")


class OwnCodec(Codec, Protocol):
    """A codec from outside the package: `build` takes it in a space, ``Bundle.load`` by ``codecs=``, at both ends."""

    @property
    def name(self) -> str:
        """Its name in an operating point: lower-case letters, digits and ``-``, perhaps ``@`` and a number."""
        ...

    @property
    def is_stateful(self) -> bool:
        """Whether its payloads build upon each other."""
        ...

    def fits(self, tensors: Sequence[tuple[str, tuple[int, ...]]]) -> bool:
        """Whether it can carry tensors of these NumPy types and shapes."""
        ...


def check_own_name(name: str) -> None:
    """Refuse a name that a codec from outside the package cannot have.

    Raises:
        CodecError: if it is no such name, or that of a family of ours.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise CodecError(
            "a codec of your own has a name of lower-case letters, digits and '-', perhaps '@' and a number;"
            f" got {name!r}"
        )
    if _OURS.fullmatch(match[1]):
        raise CodecError(f"the name {name!r} is that of a codec of adaedge's own; choose another")


@final
class Guarded:
    """A codec from outside the package, whose mistakes cost a payload and never an answer.

    Args:
        codec: the codec. What it raises besides adaedge's own errors is raised as one of these.
    """

    def __init__(self, codec: OwnCodec) -> None:
        self._codec = codec

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None], reference: Reference | None = None
    ) -> tuple[Encoded, Reference | None]:
        """Ask the codec.

        Raises:
            CodecError: if it raises anything.
        """
        try:
            return self._codec.encode(tensors, axes, reference)
        except CodecError:
            raise
        except Exception as error:
            raise CodecError(f"the codec {self._codec.name} failed to encode: {error!r}") from error

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], Reference | None]:
        """Ask the codec.

        Raises:
            PayloadError: if it raises anything.
        """
        try:
            return self._codec.decode(headers, segments, max_bytes, reference)
        except PayloadError:
            raise
        except Exception as error:
            raise PayloadError(
                f"corrupted payload: the codec {self._codec.name} failed to decode: {error!r}"
            ) from error

    def accepts(self, reference: Reference) -> bool:
        """Ask the codec."""
        return self._codec.accepts(reference)
