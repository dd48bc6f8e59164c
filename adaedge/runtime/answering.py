"""What an edge server does with one payload.

May import: ``errors``, ``bundle``. Knows no network.
"""

from __future__ import annotations

import time

from adaedge.bundle import Bundle


def answer(bundle: Bundle, payload: bytes) -> bytes:
    """The answer to one payload: decode it, run the tail, encode the outputs.

    The answer says how many seconds decoding and the tail took. ``functools.partial(answer, bundle)`` is an edge server
    for a ``ReplayLink``.

    Raises:
        PayloadError: if the payload is truncated, foreign, oversized, corrupted, or not of a point of this bundle.
    """
    start_s = time.perf_counter()
    message, outputs = bundle.answer(payload)
    return bundle.encode_answer(message, outputs, edge_s=time.perf_counter() - start_s)
