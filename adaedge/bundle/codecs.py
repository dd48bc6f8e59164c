"""Which codec a point of a bundle has, and what an edge server runs behind it.

May import: ``errors``, ``operating_point``, ``payload``; of this part ``entries``, ``preprocessing``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, final

from adaedge.bundle.entries import Cut, Subgraph
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.errors import CodecError, IntegrityError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Codec, OwnCodec, get_codec, is_stateful, uses_bottleneck
from adaedge.payload.own import Guarded, check_own_name

if TYPE_CHECKING:
    from adaedge.payload.latent import TransformCode


@final
class CodecTable:
    """The codecs of a bundle's points. Thread-safe; a bottleneck is loaded when it is first asked for, then kept.

    Args:
        files: path → bytes of each bottleneck.
        own: codecs from outside the package.
        preprocessing: how far apart the frames of a window are.

    Raises:
        CodecError: if two of them have one name, or one has the name of another codec.
    """

    def __init__(
        self, files: Mapping[str, bytes], own: Sequence[OwnCodec] = (), preprocessing: Preprocessing | None = None
    ) -> None:
        self._files, self._stride = files, preprocessing.stride if preprocessing else 1
        self.own = {codec.name: codec for codec in own}
        for name in self.own:
            check_own_name(name)
        if len(self.own) != len(own):
            raise CodecError(f"two codecs of one name were given: {', '.join(codec.name for codec in own)}")
        self._latents: dict[str, TransformCode] = {}
        self._lock = Lock()

    def of(self, cut: Cut, point: OperatingPoint) -> Codec:
        """The codec of a point; a local one sends nothing, and has ``raw``.

        Args:
            cut: where its features cross.
            point: the point.

        Raises:
            CodecError: if there is no such codec, or the bundle has no bottleneck there.
        """
        if point.is_local:
            return get_codec("raw")
        if point.codec in self.own:
            return Guarded(self.own[point.codec])
        if cut.bottleneck is None or not uses_bottleneck(point.codec):
            return self._by_name(point.codec)
        return get_codec(point.codec, self._bottleneck(cut.bottleneck))

    def _bottleneck(self, path: str) -> TransformCode:
        from adaedge.payload.latent.storage import from_bytes  # late, as `get_codec` imports what it needs

        with self._lock:
            if path not in self._latents:
                try:
                    self._latents[path] = from_bytes(self._files[path], path)[1]
                except CodecError as error:
                    raise IntegrityError(f"{error}. Build the bundle again.") from error
            return self._latents[path]

    def _by_name(self, name: str) -> Codec:
        codec = get_codec(name)
        if self._stride == 1 or not is_stateful(name):
            return codec
        from adaedge.payload.video import Video  # late, as `get_codec` imports what it needs

        return replace(codec, stride=self._stride) if isinstance(codec, Video) else codec

    def is_stateful(self, point: OperatingPoint) -> bool:
        """Whether payloads at a point build upon each other."""
        own = self.own.get(point.codec)
        return is_stateful(point.codec) if own is None else own.is_stateful


def on_edge(cut: Cut, point: OperatingPoint, codec: Codec) -> tuple[Codec, Subgraph | None]:
    """The codec that an edge server decodes with, and the half that it runs then.

    That is the point's codec and the tail; where a bottleneck's decoder is folded into a tail, a codec that decodes to
    coefficients, and that tail. A tail that computes only what changed takes features: they are near to what changed,
    and coefficients are not.
    """
    in_parts = point.incremental and cut.incremental_tail is not None
    if cut.folded_tail is None or in_parts or not uses_bottleneck(point.codec):
        return codec, cut.tail
    from adaedge.payload.latent import DeltaCodec, FoldedCodec, LatentCodec  # late: who sends no latents needs none

    if isinstance(codec, DeltaCodec):
        return replace(codec, folded=True), cut.folded_tail
    return (FoldedCodec(codec) if isinstance(codec, LatentCodec) else codec), cut.folded_tail
