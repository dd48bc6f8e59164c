"""TaughtNetwork: the terminal's end. It verifies an update, swaps it in between two frames, and can roll it back.

May import: ``errors``, ``operating_point``, ``engine``, ``bundle``; of this part ``held_weights``, ``state_file``,
``update``, ``weight_delta``.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import final

import numpy as np

from adaedge.arrays import Array
from adaedge.bundle import Bundle
from adaedge.engine import OnnxEngine
from adaedge.errors import BundleError, PayloadError
from adaedge.operating_point import OUTPUT, Level
from adaedge.taught import state_file
from adaedge.taught.held_weights import HeldWeights
from adaedge.taught.state_file import State, Version
from adaedge.taught.update import Update, UpdateKey
from adaedge.taught.weight_delta import apply, fingerprint

_LARGEST = 4  # times the weights' own bytes: no update needs as much


@final
class TaughtNetwork:
    """A network of a bundle whose weights change while it runs. Thread-safe.

    Updates build upon each other: one is taken if its signature is of the key, it is for this bundle and this network,
    its version was not seen before, and it builds upon exactly the weights that are held. Anything else is refused, and
    the weights stay as they are. A frame in the middle of being computed is finished with the weights that it began
    with.

    Args:
        bundle: holds the network; its file is not changed. Whatever runs the network's point runs the new weights.
        network: its name; it runs on the terminal only, as a whole, in fp32.
        key: signs the updates.
        path: a file that keeps the weights over a restart. It is replaced as a whole: after a crash it holds the old
            version or the new one.

    Raises:
        BundleError: if the bundle lacks the network, has it at other points too, or what the file keeps is of another.

    Attributes:
        network: its name.

    Example:
        >>> import adaedge, torch
        >>> net, student = torch.nn.Linear(8, 4).eval(), torch.nn.Linear(8, 4).eval()
        >>> space = adaedge.Space([], networks={"small": student})
        >>> bundle = adaedge.build(net, (torch.zeros(1, 8),), space)
        >>> TaughtNetwork(bundle, "small", UpdateKey("a secret that both ends share")).version
        0
    """

    def __init__(self, bundle: Bundle, network: str, key: UpdateKey, *, path: str | Path | None = None) -> None:
        self.network, self._key, self._path = network, key, path and Path(path)
        self._digest, self._lock = bundle.digest, threading.Lock()
        self._engine = _whole(bundle, network)
        own = Version(0, {name: np.asarray(array) for name, array in self._engine.weights.items()})
        self._state = State(own, None, 0)
        if self._path and self._path.exists():
            self._state = state_file.read(self._path, key, self._digest, network, own.weights)
            self._engine.reload(self._state.now.weights)

    @property
    def version(self) -> int:
        """The version of the weights that are held; 0 is the bundle's own."""
        return self._state.now.number

    @property
    def weights(self) -> dict[str, Array]:
        """Name in the bundle → array, of the weights that are held."""
        return dict(self._state.now.weights)

    @property
    def holding(self) -> HeldWeights:
        """What is held, as an edge server is told that teaches."""
        held = self._state
        return HeldWeights(self.network, held.now.number, held.newest, fingerprint(held.now.weights).hex())

    def receive(self, data: bytes) -> int:
        """Take an update. Returns the new version.

        Raises:
            PayloadError: if it is refused: the weights stay as they are.
            BundleError: if the file cannot be written, or ONNX Runtime does not take the weights; likewise.
        """
        with self._lock:
            held = self._state
            most = 2**16 + _LARGEST * sum(array.nbytes for array in held.now.weights.values())
            update = Update.from_bytes(data, self._key, most)
            self._check(update, held)
            weights = apply(held.now.weights, update.deltas)
            if fingerprint(weights) != update.after:
                raise PayloadError("an update does not make the weights that it names: the two ends compute apart")
            self._take(State(Version(update.version, weights), held.now, update.version))
            return update.version

    def roll_back(self) -> int:
        """Take the weights before the last update again. Returns their version.

        The update that is left is not taken a second time, and the next one builds upon these weights.

        Raises:
            BundleError: if there are none: nothing was received, or it was rolled back already.
        """
        with self._lock:
            if self._state.before is None:
                raise BundleError(f"the network {self.network!r} has no version before {self.version} to go back to")
            self._take(State(self._state.before, None, self._state.newest))
            return self.version

    def _check(self, update: Update, held: State) -> None:
        """Refuse an update of something else, of the past, or upon other weights."""
        if (update.bundle, update.network) != (self._digest, self.network):
            raise PayloadError(
                f"an update for the network {update.network!r} of the bundle {update.bundle[:12]}…; this is"
                f" {self.network!r} of {self._digest[:12]}…"
            )
        if update.version <= held.newest:
            raise PayloadError(f"an update to version {update.version} comes again: {held.newest} was received before")
        if update.base != held.now.number or update.before != fingerprint(held.now.weights):
            raise PayloadError(
                f"an update builds upon version {update.base}, and this terminal holds {held.now.number}: teach upon"
                " that one"
            )

    def _take(self, new: State) -> None:
        """Load, keep, then swap: whatever fails on the way leaves the old weights."""
        swap = self._engine.prepared(new.now.weights)
        if self._path:
            state_file.write(self._path, self._key, self._digest, self.network, new)
        self._state = new
        swap()


def _whole(bundle: Bundle, network: str) -> OnnxEngine:
    """What runs the network whole."""
    cuts = [cut for cut in bundle.manifest.cuts if cut.level.network == network]
    own = bundle.manifest.cut(OUTPUT, Level(network))
    if cuts != [own]:
        others = ", ".join(f"{cut.split}/{cut.level.precision}" for cut in cuts if cut != own)
        raise BundleError(
            f"the network {network!r} is taught whole and in fp32, and this bundle also has it at {others}, whose"
            " weights would stay behind. Build it without splits and precisions of its own."
        )
    engine = bundle.engine(own.head)
    if not isinstance(engine, OnnxEngine):
        raise BundleError(f"the network {network!r} holds no graph whose weights could change")
    return engine
