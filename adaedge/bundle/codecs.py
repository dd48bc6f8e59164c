"""Which codec a point of a bundle has, and what an edge server runs behind it.

May import: ``errors``, ``operating_point``, ``payload``; of this part ``manifest``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, final

from adaedge.bundle.entries import Half
from adaedge.bundle.manifest import Manifest
from adaedge.errors import BundleError, CodecError, IntegrityError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Codec, OwnCodec, get_codec, is_progressive, is_stateful
from adaedge.payload.codecs import check_own_name

if TYPE_CHECKING:
    from adaedge.payload.latent import Latents


@final
class CodecTable:
    """The codecs of a bundle's points. Thread-safe; a bottleneck is loaded when it is first asked for, then kept.

    Args:
        manifest: says where bottlenecks are.
        files: path → bytes of each.
        own: codecs from outside the package.

    Raises:
        CodecError: if two of them have one name, or one has the name of another codec.
    """

    def __init__(self, manifest: Manifest, files: Mapping[str, bytes], own: Sequence[OwnCodec] = ()) -> None:
        self._manifest, self._files = manifest, files
        self.own = {codec.name: codec for codec in own}
        for name in self.own:
            check_own_name(name)
        if len(self.own) != len(own):
            raise CodecError(f"two codecs of one name were given: {', '.join(codec.name for codec in own)}")
        self._latents: dict[str, Latents] = {}
        self._lock = Lock()

    def at(self, point: OperatingPoint) -> Codec:
        """The codec of a point.

        Raises:
            BundleError: if the bundle does not hold the point's split point at its level.
            CodecError: if there is no such codec, or the bundle has no bottleneck there.
        """
        path = self._manifest.cut(point.split, point.level).bottleneck
        if point.codec in self.own:
            return self.own[point.codec]
        if path is None or not is_progressive(point.codec):
            return self._by_name(point.codec)
        from adaedge.payload.latent.saving import from_bytes  # late, as `get_codec` imports what it needs

        with self._lock:
            if path not in self._latents:
                try:
                    self._latents[path] = from_bytes(self._files[path], path)[1]
                except CodecError as error:
                    raise IntegrityError(f"{error}. Build the bundle again.") from error
        return get_codec(point.codec, self._latents[path])

    def _by_name(self, name: str) -> Codec:
        codec, preprocessing = get_codec(name), self._manifest.preprocessing
        if preprocessing is None or preprocessing.stride == 1 or not is_stateful(name):
            return codec
        from adaedge.payload.video import Video  # late, as `get_codec` imports what it needs

        return replace(codec, stride=preprocessing.stride) if isinstance(codec, Video) else codec

    def is_stateful(self, point: OperatingPoint) -> bool:
        """Whether payloads at a point build upon each other."""
        own = self.own.get(point.codec)
        return is_stateful(point.codec) if own is None else own.is_stateful

    def of_payload(self, point: OperatingPoint) -> Codec:
        """The codec of a point that a payload names.

        Raises:
            PayloadError: if the bundle does not hold it, it sends nothing, or there is no such codec.
        """
        try:
            self._manifest.cut(point.split, point.level)
        except BundleError as error:
            raise PayloadError(f"a payload for an operating point that is not here: {error}") from error
        if point.is_local:
            raise PayloadError(f"a payload for {point}, which sends nothing")
        try:
            return self.at(point)
        except CodecError as error:
            raise PayloadError(f"a payload that this adaedge cannot read: {error}") from error

    def shortest(self, point: OperatingPoint) -> Codec:
        """As `of_payload`; a bottleneck's to coefficients only, where its decoder is folded into the tail."""
        codec = self.of_payload(point)
        if not is_progressive(point.codec):
            return codec
        from adaedge.payload.latent import FoldedCodec, LatentCodec  # late: who sends no latents needs neither

        folded = self._manifest.cut(point.split, point.level).folded_tail
        return FoldedCodec(codec) if isinstance(codec, LatentCodec) and folded else codec

    def edge_half(self, point: OperatingPoint) -> Half | None:
        """What an edge server runs for a point: the tail, or the one that a bottleneck's decoder is folded into."""
        cut = self._manifest.cut(point.split, point.level)
        return cut.folded_tail if cut.folded_tail and is_progressive(point.codec) else cut.tail
