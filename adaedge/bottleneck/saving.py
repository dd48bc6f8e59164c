"""A fitted bottleneck in one safetensors file: arrays, and in the metadata what is no array. Nothing is unpickled.

May import: ``errors``, ``payload.latent``. The metadata's entry ``adaedge-bottleneck`` is JSON: version of the integer
transform, split point, layout, whole numbers, and the fingerprint that all streams of this bottleneck carry.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from adaedge.errors import CodecError
from adaedge.payload.latent import Latents, Layout
from adaedge.payload.latent.layout import Plane
from adaedge.payload.latent.transform import VERSION

KEY = "adaedge-bottleneck"


def write(path: Path, split: str, latents: Latents) -> None:
    """Write a bottleneck; a kill while it is written leaves the file that was there."""
    values = {entry.name: getattr(latents, entry.name) for entry in fields(latents) if entry.init}
    document = {
        "version": VERSION,
        "split": split,
        "planes": [asdict(plane) for plane in latents.layout.planes],
        "numbers": {name: value for name, value in values.items() if isinstance(value, int)},
        "fingerprint": latents.fingerprint,
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in latents.arrays().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    safetensors.numpy.save_file(arrays, partial, {KEY: json.dumps(document)})
    partial.replace(path)


def read(path: Path) -> tuple[str, Latents]:
    """Split point and arrays of what `write` wrote.

    Raises:
        CodecError: if it is no such file, of another version, or changed.
    """
    try:
        with safetensors.safe_open(path, "np") as file:
            document = json.loads((file.metadata() or {}).get(KEY, "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise CodecError(f"{path} is no safetensors file ({error}); write one with `Bottleneck.save`") from error
    if not document:
        raise CodecError(f"{path} holds no bottleneck; write one with `Bottleneck.save`")
    if document["version"] != VERSION:
        raise CodecError(f"{path} is of version {document['version']}, this adaedge reads {VERSION}; fit it again")
    layout = Layout(tuple(_plane(entry) for entry in document["planes"]))
    latents = Latents.from_arrays(arrays, layout=layout, **document["numbers"])
    if latents.fingerprint != document["fingerprint"]:
        raise CodecError(
            f"{path} was changed: its arrays have the fingerprint {latents.fingerprint:08x}, it says"
            f" {document['fingerprint']:08x}. Fit or copy it again."
        )
    return document["split"], latents


def _plane(entry: dict[str, Any]) -> Plane:
    return Plane(tuple(entry["shape"]), entry["axis"], entry["dtype"], tuple(entry["patch"]))
