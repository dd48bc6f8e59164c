"""A fitted bottleneck ⇄ one safetensors file: arrays, and in the metadata what is no array. Nothing is unpickled.

May import: ``errors``; of this part ``layout``, ``transform``. The metadata's entry ``adaedge-bottleneck`` is JSON:
version of the integer transform, split point, layout, whole numbers, and the fingerprint that all streams of this
bottleneck carry.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
import safetensors.numpy

from adaedge.errors import CodecError
from adaedge.payload.latent.layout import Layout, Plane
from adaedge.payload.latent.transform import VERSION, TransformCode

KEY = "adaedge-bottleneck"
_LENGTH_BYTES = 8


def to_bytes(split: str, latents: TransformCode) -> bytes:
    """The file of a bottleneck; the same bytes each time.

    Args:
        split: name of its split point.
        latents: the bottleneck.
    """
    values = {entry.name: getattr(latents, entry.name) for entry in fields(latents) if entry.init}
    document = {
        "version": VERSION,
        "split": split,
        "planes": [_entry(plane) for plane in latents.layout.planes],
        "numbers": {name: value for name, value in values.items() if isinstance(value, int)},
        "fingerprint": latents.fingerprint,
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in latents.arrays().items()}
    return safetensors.numpy.save(arrays, {KEY: json.dumps(document)})


def from_bytes(data: bytes, name: str) -> tuple[str, TransformCode]:
    """Split point and bottleneck of what `to_bytes` wrote.

    Args:
        data: the file.
        name: what to call it in an error.

    Raises:
        CodecError: if it is no such file, of another version, or changed.
    """
    try:
        arrays = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise CodecError(f"{name} is no safetensors file ({error}); write one with `Bottleneck.save`") from error
    header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")])
    document = json.loads(header.get("__metadata__", {}).get(KEY, "{}"))
    if not document:
        raise CodecError(f"{name} holds no bottleneck; write one with `Bottleneck.save`")
    if document["version"] != VERSION:
        raise CodecError(f"{name} is of version {document['version']}, this adaedge reads {VERSION}; fit it again")
    layout = Layout(tuple(_plane(entry) for entry in document["planes"]))
    latents = TransformCode.from_arrays(arrays, layout=layout, **document["numbers"])
    if latents.fingerprint != document["fingerprint"]:
        raise CodecError(
            f"{name} was changed: its arrays have the fingerprint {latents.fingerprint:08x}, it says"
            f" {document['fingerprint']:08x}. Fit or copy it again."
        )
    return document["split"], latents


def _entry(plane: Plane) -> dict[str, Any]:
    return {"shape": plane.shape, "axis": plane.axis, "dtype": plane.dtype, "patch": plane.patch}


def _plane(entry: dict[str, Any]) -> Plane:
    return Plane(tuple(entry["shape"]), entry["axis"], entry["dtype"], tuple(entry["patch"]))
