"""Frames of which a small part changes."""

from __future__ import annotations

import numpy as np

SIZE = (96, 96)


def clip(count=12, seed=0):
    """A square that moves over a textured ground."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 120, (*SIZE, 3), dtype=np.uint8)
    for at in range(count):
        frame = ground.copy()
        frame[20:32, 4 * at % 80 : 4 * at % 80 + 12] = 230
        yield frame
