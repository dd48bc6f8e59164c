"""Write what this machine computes at each operating point of a bundle: ``python host.py BUNDLE FILE``.

FILE is safetensors: ``picture``, the ``frame`` made of it, and of each point ``POINT features.0 …`` (what its head
returns), ``POINT payload``, ``POINT decoded.0 …`` (features again) and ``POINT answer.0 …``; of a bottleneck also
``POINT coefficients.0``, which the features are made of; a local point has just the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy

from adaedge import Bundle, OperatingPoint
from adaedge.payload import Message, is_progressive


def main() -> None:
    bundle = Bundle.load(sys.argv[1])
    picture = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
    frame = bundle.preprocess(picture)
    found = {"picture": picture, "frame": frame}
    for point in bundle.points:
        found |= {f"{point} {name}": array for name, array in computed(bundle, point, frame).items()}
    Path(sys.argv[2]).write_bytes(safetensors.numpy.save(found))


def computed(bundle: Bundle, point: OperatingPoint, frame: np.ndarray) -> dict[str, np.ndarray]:
    if point.is_local:
        return numbered("answer", bundle.run(point, (frame,)))
    features = bundle.head(point.split, point.level).run((frame,))
    payload = bundle.encode(point, features)
    message, decoded = bundle.decode(payload)
    between = [coefficients(bundle, message)] if is_progressive(point.codec) else []
    return {
        "payload": np.frombuffer(payload, np.uint8),
        **numbered("features", features),
        **numbered("coefficients", between),
        **numbered("decoded", decoded),
        **numbered("answer", bundle.answer(payload)[1]),
    }


def coefficients(bundle: Bundle, message: Message) -> np.ndarray:
    """What a bottleneck's payload says, before the matrix product that makes features of it."""
    return bundle.codec(message.point).coefficients(message.segments, batch=1)


def numbered(name: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    # safetensors writes memory as it lies, whatever the strides say.
    return {f"{name}.{index}": np.ascontiguousarray(array) for index, array in enumerate(arrays)}


if __name__ == "__main__":
    main()
