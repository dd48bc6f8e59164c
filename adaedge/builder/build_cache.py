"""BuildCache: results of long work, kept in a folder and found again by what they were made from.

May import: nothing of adaedge. A key is a hash of everything that a result depends on, so a stale one is never found.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import final

Source = bytes | str | memoryview


@final
class BuildCache:
    """Keeps results; nothing where there is no folder.

    Args:
        folder: made when the first result is kept.

    Example:
        >>> BuildCache(None).get_or(key("int8", b"graph"), lambda: b"result")
        b'result'
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get_or(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The result of this key, made and kept if it is not there."""
        if self._folder is None:
            return make()
        path = self._folder / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            data = make()
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(data)
        unfinished.replace(path)  # whoever is killed leaves a whole result or none
        return data


def key(kind: str, *sources: Source) -> str:
    """The name of a result: what it is, and the hash of everything that it is made from."""
    digest = hashlib.sha256()
    for source in sources:
        data = source.encode() if isinstance(source, str) else source
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return f"{kind}-{digest.hexdigest()}"
