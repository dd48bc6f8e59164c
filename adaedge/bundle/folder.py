"""A bundle's folder: read whole and verified, written whole or not at all.

May import: ``errors``; of this part ``manifest``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from adaedge.bundle.entries import File
from adaedge.bundle.manifest import FORMAT, NAME, Manifest
from adaedge.errors import BundleError, IntegrityError


def read(path: str | Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and every file that it names, each compared with its hash. Files that it does not name are not read.

    Raises:
        BundleError: if there is no bundle.
        BundleVersionError: if another version of the format wrote it.
        IntegrityError: if a file is missing, or its bytes are not those that the manifest names.
    """
    folder = Path(path)
    try:
        manifest = Manifest.from_bytes((folder / NAME).read_bytes())
    except OSError as error:
        raise BundleError(
            f"{folder} is not a bundle: its {NAME} cannot be read ({error.strerror})."
            " Write a bundle with `adaedge build MODEL -o FOLDER`."
        ) from error
    return manifest, {name: _read_file(folder, name, manifest) for name in manifest.files}


def _read_file(folder: Path, name: str, manifest: Manifest) -> bytes:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name:
        raise IntegrityError(f"{NAME} names {name!r}, which is outside the bundle. Do not use this bundle.")
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise IntegrityError(f"{name} cannot be read ({error.strerror}). Copy the whole bundle again.") from error
    _check_hash(name, data, manifest.files[name])
    return data


def _check_hash(path: str, data: bytes | memoryview, file: File) -> None:
    """Refuse a file whose bytes are not those that the manifest names.

    Raises:
        IntegrityError: naming the file.
    """
    if len(data) != file.length_bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise IntegrityError(f"{path} is corrupted: its bytes are not those that {NAME} names. Copy the bundle again.")


def write(path: str | Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write a bundle. The new one is complete before it takes the place of the old one.

    Raises:
        BundleError: if something that is not a bundle is in the way, or the folder cannot be written.
    """
    import tempfile  # with what it needs, 4 ms that a terminal, which only reads, never pays

    folder = Path(path)
    check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            new, old = Path(scratch) / "new", Path(scratch) / "old"
            for name, data in {**files, NAME: manifest.to_bytes()}.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(data)
            if folder.exists():
                folder.rename(old)
            try:
                new.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
    except OSError as error:
        raise BundleError(f"cannot write the bundle {folder}: {error}") from error


def check_free(folder: Path) -> None:
    """Refuse to write a bundle where something else is.

    Raises:
        BundleError: if the folder exists, is not empty and is not a bundle.
    """
    if folder.exists() and not is_bundle(folder) and not _is_empty_folder(folder):
        raise BundleError(f"{folder} exists and is not a bundle; it was left as it is. Choose another name.")


def is_bundle(folder: Path) -> bool:
    """Whether the folder holds a manifest of ours, of any version and in any state."""
    try:
        return f'"{FORMAT}"'.encode() in (folder / NAME).read_bytes()
    except OSError:
        return False


def _is_empty_folder(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
