"""An edge server in a process of its own: ``teacher``, which teaches, or ``hostile``, which sends what it should not.

Prints its address and its bundle's digest, then serves until it is ended.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import adaedge
from adaedge.runtime import Credentials, EdgeServer, serve_forever
from adaedge.taught import Delta, TaughtNetwork, Update, UpdateKey, apply, fingerprint

KEY = UpdateKey("a secret of thirty-two characters")


class Hostile:
    """Answers questions with updates that are none, one after another, then with two that are; then with nothing."""

    def __init__(self, bundle):
        taught = TaughtNetwork(bundle.with_threads(1), "small", KEY)
        first, second = (self.made(taught, number) for number in (1, 2))
        good = first.to_bytes(KEY)
        next_one = second.to_bytes(KEY)
        flipped = bytearray(next_one)
        flipped[len(flipped) // 2] ^= 1
        skips = replace(second, version=9, base=8)
        self.given = [
            first.to_bytes(UpdateKey("a secret of somebody else here")),
            good[:-1],
            good[: len(good) // 2],
            b"AEWU",
            good,
            good,
            bytes(flipped),
            skips.to_bytes(KEY),
            replace(second, network="other").to_bytes(KEY),
            replace(second, bundle="ab" * 32).to_bytes(KEY),
            replace(second, after=bytes(16)).to_bytes(KEY),
            next_one,
        ]

    @staticmethod
    def made(taught, version):
        generator, weights = np.random.default_rng(version), taught.weights
        deltas = {
            name: Delta.of(generator.normal(0, 0.1, array.shape), generator.random(array.shape) < 0.1)
            for name, array in weights.items()
        }
        held = taught.holding
        after = fingerprint(apply(weights, deltas))
        made = Update(taught._digest, "small", held.version, version, bytes.fromhex(held.weights), after, deltas)
        taught.receive(made.to_bytes(KEY))
        return made

    def label(self, inputs, outputs):
        """Is of no interest."""

    def update(self, holding):
        """The next one."""
        return self.given.pop(0) if self.given else b""


def teacher_process(folder):
    """One that needs torch, as the hostile one does not."""
    sys.path.insert(0, str(Path(__file__).parent))
    import taught_linear

    from adaedge.distillation import TeacherProcess

    return TeacherProcess(partial(taught_linear.teacher, folder))


def main(which, folder, state):
    bundle = adaedge.Bundle.load(folder)
    with teacher_process(folder) if which == "teacher" else nullcontext(Hostile(bundle)) as teaching:
        server = EdgeServer(bundle, credentials=Credentials.stored(Path(state), ()), teaching=teaching)
        sys.stdout.write(f"{server.address} {bundle.digest}\n")
        sys.stdout.flush()
        serve_forever(server)


if __name__ == "__main__":
    main(*sys.argv[1:])
