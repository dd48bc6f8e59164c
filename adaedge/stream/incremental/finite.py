"""A frame whose numbers may not all be finite: it is computed dense, and nothing of it is held.

May import: ``engine``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaedge.arrays import Array
from adaedge.engine import Arrays
from adaedge.stream.incremental.cache import Cache
from adaedge.stream.incremental.plan import FrameStats
from adaedge.stream.incremental.runner import IncrementalRunner


def run_finite(
    runner: IncrementalRunner, inputs: Sequence[Array], cache: Cache | None
) -> tuple[Arrays, Cache | None, FrameStats]:
    """A runner's outputs for a frame, the cache for the next one, and what was computed.

    Args:
        runner: of a bundle: it has a plain graph.
        inputs: the frame.
        cache: what the last frame left; it is used up.
    """
    if all(np.isfinite(part).all() for part in inputs if part.dtype.kind == "f"):
        outputs, after = runner.run(inputs, cache)
        return outputs, after, after.stats
    assert runner.plain is not None
    return runner.plain.run(inputs), None, FrameStats(1.0, 1.0, "dense")
