"""An update as it crosses: signed, versioned, compressed. Nothing of it is read before its signature is verified.

May import: ``errors``, ``payload``, ``bundle``; of this part ``weight_delta``.

Little-endian. 4 bytes ``AEWU``; uint16 format, 1; uint16 length of the network's name; uint32 length of the body;
uint64 version that it builds upon; uint64 version that it makes; 32 bytes SHA-256 of the bundle; 16 bytes fingerprint
of the weights before, 16 of those after; the name in UTF-8; the body; 32 bytes HMAC-SHA256 of all that is before. The
body is a zstd frame of a safetensors file: for each weight ``NAME`` that changes ``NAME:mask`` (uint8), ``NAME:values``
(int8) and ``NAME:scale`` (float32, one), see `Delta`.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import safetensors.numpy

from adaedge.arrays import Array
from adaedge.bundle.weights import views
from adaedge.errors import AdaedgeError, LinkError, PayloadError
from adaedge.payload.compression import compress, decompress
from adaedge.taught.weight_delta import Delta

MAGIC, FORMAT = b"AEWU", 1
_HEAD = struct.Struct("<4sHHIQQ32s16s16s")
_TAG_BYTES = hashlib.sha256().digest_size
_SECRET_BYTES = 16


@final
class UpdateKey:
    """A key that signs and verifies updates; derived from a secret that both ends share, such as an access token.

    The secret itself is neither kept nor shown.

    Args:
        secret: 16 bytes or more.

    Raises:
        LinkError: if it is shorter.

    Example:
        >>> key = UpdateKey("a token of the edge server")
        >>> key.signs(b"data", key.tag(b"data")), key.signs(b"date", key.tag(b"data"))
        (True, False)
    """

    __slots__ = ("_key",)

    def __init__(self, secret: str | bytes) -> None:
        data = secret.encode() if isinstance(secret, str) else secret
        if len(data) < _SECRET_BYTES:
            raise LinkError(
                f"the secret that signs updates is {_SECRET_BYTES} bytes or more; got {len(data)}. Make one with"
                " `secrets.token_urlsafe(32)`, and give it to both ends."
            )
        self._key = hmac.digest(data, b"adaedge weight update, format 1", "sha256")

    def tag(self, data: bytes) -> bytes:
        """The signature of some bytes."""
        return hmac.digest(self._key, data, "sha256")

    def signs(self, data: bytes, tag: bytes) -> bool:
        """Whether a signature is of these bytes, in a time that does not tell how nearly."""
        return hmac.compare_digest(self.tag(data), tag)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """New weights of one network, as what changed since a version that the terminal holds.

    Attributes:
        bundle: SHA-256 of the bundle, in hexadecimal.
        network: name of the network in it.
        base: version that it builds upon; 0 is the bundle's own weights.
        version: the one that it makes.
        before: fingerprint of the weights that it builds upon.
        after: fingerprint of those that it makes.
        deltas: name of a weight in the bundle → what changes.
    """

    bundle: str
    network: str
    base: int
    version: int
    before: bytes
    after: bytes
    deltas: Mapping[str, Delta]

    def to_bytes(self, key: UpdateKey) -> bytes:
        """The update as it crosses."""
        tensors: dict[str, Array] = {}
        for name, delta in self.deltas.items():
            tensors |= {f"{name}:mask": delta.mask, f"{name}:values": delta.values}
            tensors[f"{name}:scale"] = np.array([delta.scale], np.float32)
        body, name_bytes = compress(safetensors.numpy.save(tensors)), self.network.encode()
        lengths = len(name_bytes), len(body)
        head = _HEAD.pack(
            MAGIC, FORMAT, *lengths, self.base, self.version, bytes.fromhex(self.bundle), self.before, self.after
        )
        signed = head + name_bytes + body
        return signed + key.tag(signed)

    @classmethod
    def from_bytes(cls, data: bytes, key: UpdateKey, max_bytes: int) -> Self:
        """Read what ``to_bytes`` wrote. Its signature is compared before anything else of it is read.

        Args:
            data: what was received.
            key: that of both ends.
            max_bytes: that its tensors may hold once they are unpacked.

        Raises:
            PayloadError: if it is truncated, foreign, oversized or corrupted, or its signature is none of this key's.
        """
        if len(data) < _HEAD.size + _TAG_BYTES:
            raise PayloadError(f"truncated update: {len(data)} bytes, less than the head of one")
        if data[: len(MAGIC)] != MAGIC:
            raise PayloadError(f"not an update of weights: it begins with {data[: len(MAGIC)]!r}, not {MAGIC!r}")
        signed, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
        if not key.signs(signed, tag):
            raise PayloadError(
                "an update whose signature is not of this terminal's key: it was truncated, changed on the way, or made"
                " by somebody else. The weights stay as they are."
            )
        _, form, name_length, length, base, version, bundle, before, after = _HEAD.unpack_from(signed)
        if form != FORMAT:
            raise PayloadError(f"an update of format {form}; this adaedge reads {FORMAT}: use one version on both ends")
        came, wanted = len(signed) - _HEAD.size, name_length + length
        if came != wanted:
            raise PayloadError(f"truncated update: {came} bytes of name and tensors, where its head says {wanted}")
        name, body = signed[_HEAD.size : _HEAD.size + name_length], signed[_HEAD.size + name_length :]
        try:
            deltas = _deltas(decompress(body, max_bytes))
            return cls(bundle.hex(), name.decode(), base, version, before, after, deltas)
        except (AdaedgeError, ValueError, KeyError, IndexError) as error:
            raise PayloadError(f"corrupted update: its tensors do not read ({error})") from error


def _deltas(file: bytes) -> dict[str, Delta]:
    """Name of a weight → what changes of it."""
    found = views(file)
    names = {full.rpartition(":")[0] for full in found}
    read = {}
    for name in names:
        mask, values, scale = (found[f"{name}:{part}"] for part in ("mask", "values", "scale"))
        types = [part.dtype.name for part in (mask, values, scale)]
        if types != ["uint8", "int8", "float32"] or scale.shape != (1,):
            raise PayloadError(f"the delta of {name!r} has the types {', '.join(types)}")
        read[name] = Delta(mask, values, np.float32(scale[0]))
    if 3 * len(names) != len(found):
        raise PayloadError(f"{len(found)} tensors of {len(names)} weights")
    return read
