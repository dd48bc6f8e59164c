"""The name of a frame that crosses the link: the same in the terminal's record and in the edge server's log.

May import: nothing of adaedge.
"""

from __future__ import annotations

import hashlib


def frame_id(stream: int, sequence: int) -> str:
    """The name of a frame: its stream, in hexadecimal, and its number in it.

    Example:
        >>> frame_id(255, 7)
        '00000000000000ff-7'
    """
    return f"{stream:016x}-{sequence}"


def trace_id(name: str) -> str:
    """The 16 bytes, in hexadecimal, by which OpenTelemetry traces know what bears this name.

    Both ends make it of the `frame_id` alone, so that nothing more crosses the link.

    Example:
        >>> trace_id(frame_id(255, 7))
        'eafc4993ecda3e711a4032afbc060574'
    """
    return hashlib.sha256(f"adaedge frame {name}".encode()).hexdigest()[:32]
