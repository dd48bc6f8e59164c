"""Windows: several frames as one input, of which only those cross that the other end does not hold.

May import: ``errors``; of this part ``reference``.

Both ends hold the frames that were used last, in the order of their last use: ``capacity`` of them, the length of a
window times its stride, so that windows which take turns on every second frame find theirs. The encoder compares
pixels, so whatever the caller passes, a frame that is held does not cross again. After the prefix of every segment
(see ``codec``), whose N counts the frames that were encoded before this payload, a window's segment has:

    offset  bytes  field
    8       1      K: number of new frames
    9       1      R: number of runs
    10      3R     runs of frames of the window, oldest first: start, uint16, and length, uint8. A start counts in what
                   is held, least recently used first, and then in the new frames
    …       …      the K packets, each but the last after its length, uint32

A refresh holds nothing before, so all the frames of its window cross, those that are alike once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adaedge.errors import PayloadError
from adaedge.payload.video.colour import Image
from adaedge.payload.video.reference import LiveDecoder, LiveEncoder

LARGEST = 255
"""The most frames of a window."""

_COUNTS, _RUN, _LENGTH = struct.Struct("<BB"), struct.Struct("<HB"), struct.Struct("<I")
_STEP = 8  # every so many pixels of every so many rows tell frames apart that differ


def encode(live: LiveEncoder, clip: npt.NDArray[np.uint8]) -> bytes:
    """The bytes after the prefix for a window, uint8 (T, H, W, 3).

    Raises:
        CodecError: if the encoder fails.
    """
    known, places = _found(live.held, clip)
    packets = [live.encode(image) for image in known[len(live.held) :]]
    live.held = _kept(known, places, live.capacity)
    runs = _runs(places)
    parts = [_COUNTS.pack(len(packets), len(runs)), *(_RUN.pack(*run) for run in runs)]
    for packet in packets[:-1]:
        parts += [_LENGTH.pack(len(packet)), packet]
    return b"".join(parts + packets[-1:])


def decode(live: LiveDecoder, number: int, checksum: int, body: memoryview, frames: int) -> npt.NDArray[np.uint8]:
    """The window, uint8 (T, H, W, 3), in memory of its own.

    Args:
        live: the decoder.
        number: of frames since the refresh, before this payload.
        checksum: CRC-32 of all packets since the refresh, these included.
        body: what follows the prefix.
        frames: how many the window has.

    Raises:
        PayloadError: if the bytes contradict themselves or what is held.
    """
    places, packets = _read(body)
    count = len(live.held) + len(packets)
    if len(places) != frames or len(packets) > frames or max(places) >= count:
        raise PayloadError(
            f"corrupted payload: its window has {len(places)} of {frames} frames, the last of them"
            f" {max(places, default=0)} of {count} that are held or new"
        )
    known = live.held + live.decode(number, checksum, packets)
    live.held = _kept(known, places, live.capacity)
    return np.stack([known[place] for place in places])


def _found(held: Sequence[Image], clip: npt.NDArray[np.uint8]) -> tuple[list[Image], list[int]]:
    """What is held and then what is new of a window, and the place of each of its frames among them."""
    known = list(held)
    alike: dict[bytes, list[int]] = {}
    for place, image in enumerate(known):
        alike.setdefault(_look(image), []).append(place)
    places: list[int] = []
    for image in clip:
        candidates = alike.setdefault(_look(image), [])
        found = next((place for place in candidates if np.array_equal(known[place], image)), None)
        if found is None:
            found = len(known)
            candidates.append(found)
            known.append(image.copy())
        places.append(found)
    return known, places


def _look(image: Image) -> bytes:
    return image[::_STEP, ::_STEP].tobytes()


def _kept(known: Sequence[Image], places: Sequence[int], capacity: int) -> list[Image]:
    """What either end holds from now on: the frames that were used last, the last of them last."""
    used = dict.fromkeys(places)
    order = [place for place in range(len(known)) if place not in used] + list(used)
    return [known[place] for place in order[-capacity:]]


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Places as runs, each of which begins at a place and goes on by one.

    Example:
        >>> _runs([4, 5, 6, 9]), _runs([0, 0, 0])
        ([(4, 3), (9, 1)], [(0, 1), (0, 1), (0, 1)])
    """
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and place == sum(runs[-1]):
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((place, 1))
    return runs


def _read(body: memoryview) -> tuple[list[int], list[memoryview]]:
    """The places of a window's frames, and the packets of those that are new."""
    try:
        packets_due, runs_due = _COUNTS.unpack_from(body)
        end = _COUNTS.size + runs_due * _RUN.size
        runs = [_RUN.unpack_from(body, at) for at in range(_COUNTS.size, end, _RUN.size)]
        rest, packets = body[end:], list[memoryview]()
        while len(packets) < packets_due - 1:
            length = _LENGTH.unpack_from(rest)[0]
            packets.append(rest[_LENGTH.size : _LENGTH.size + length])
            rest = rest[_LENGTH.size + length :]
    except struct.error as error:
        raise PayloadError(f"truncated payload: the frames of its window are not all there ({error})") from error
    packets += [rest] if packets_due else []
    # An empty packet would tell the decoder that the stream is over.
    if not all(map(len, packets)) or (len(rest) and not packets_due):
        raise PayloadError(f"corrupted payload: its window has {packets_due} new frames, its packets are not as many")
    return [start + at for start, length in runs for at in range(length)], packets
