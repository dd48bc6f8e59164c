"""The file that keeps a taught network's weights over a restart: replaced as a whole, signed, nothing unpickled.

May import: ``errors``, ``engine``, ``bundle``; of this part ``weight_delta``, ``update``.

32 bytes HMAC-SHA256 of what follows; a safetensors file of ``now/NAME`` and ``before/NAME``, whose metadata hold
``format``, ``bundle``, ``network``, ``now``, ``before`` (empty where there is none) and ``newest``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.numpy

from adaedge.arrays import Array
from adaedge.bundle.weights import views
from adaedge.errors import BundleError, IntegrityError
from adaedge.taught.update import UpdateKey

FORMAT = "adaedge-taught-1"
_TAG_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """Weights and their number."""

    number: int
    weights: Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The weights that a terminal holds, those before for a roll-back, and the newest version ever taken."""

    now: Version
    before: Version | None
    newest: int


def write(path: Path, key: UpdateKey, bundle: str, network: str, state: State) -> None:
    """Write the state beside the file, then put it in its place.

    Raises:
        BundleError: if it cannot be written; the file stays as it was.
    """
    tensors = {f"now/{name}": array for name, array in state.now.weights.items()}
    if state.before:
        tensors |= {f"before/{name}": array for name, array in state.before.weights.items()}
    said = {"format": FORMAT, "bundle": bundle, "network": network, "now": str(state.now.number)}
    said |= {"before": str(state.before.number) if state.before else "", "newest": str(state.newest)}
    data = safetensors.numpy.save(tensors, said)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(key.tag(data) + data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BundleError(f"cannot keep the taught weights in {path}: {error}. The old ones stand.") from error


def read(path: Path, key: UpdateKey, bundle: str, network: str, like: Mapping[str, Array]) -> State:
    """Read what ``write`` wrote.

    Args:
        path: the file.
        key: that it was signed with.
        bundle: SHA-256 of the bundle.
        network: name of the network in it.
        like: the network's own weights, whose names, types and shapes those of the file have.

    Raises:
        IntegrityError: if a byte of it was changed, or another key signed it.
        BundleError: if it is of another bundle or network, or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read the taught weights in {path}: {error}") from error
    tag, data = data[:_TAG_BYTES], data[_TAG_BYTES:]
    if not key.signs(data, tag):
        raise IntegrityError(
            f"{path} holds no taught weights that this terminal's key signed. Delete it to begin with the bundle's own."
        )
    said = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    if (said["format"], said["bundle"], said["network"]) != (FORMAT, bundle, network):
        raise BundleError(
            f"{path} holds {said['network']!r} of the bundle {said['bundle'][:12]}…, not {network!r} of {bundle[:12]}…."
            " Name another file, or delete it to begin with the bundle's own weights."
        )
    found = views(data)

    def version(which: str) -> Version:
        return Version(int(said[which]), {name: found[f"{which}/{name}"] for name in like})

    return State(version("now"), version("before") if said["before"] else None, int(said["newest"]))
