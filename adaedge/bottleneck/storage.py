"""A fitted bottleneck on disk.

May import: ``errors``, ``payload.latent``.
"""

from __future__ import annotations

from pathlib import Path

from adaedge.payload.latent import TransformCode
from adaedge.payload.latent.storage import KEY as KEY
from adaedge.payload.latent.storage import from_bytes, to_bytes


def write(path: Path, split: str, latents: TransformCode) -> None:
    """Write a bottleneck; a kill while it is written leaves the file that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(to_bytes(split, latents))
    partial.replace(path)


def read(path: Path) -> tuple[str, TransformCode]:
    """Split point and arrays of what `write` wrote.

    Raises:
        CodecError: if it is no such file, of another version, or changed.
    """
    return from_bytes(path.read_bytes(), str(path))
