"""Payloads there and back with an installed adaedge: what the workflow runs with each wheel.

``python round_trip.py --compiled`` also demands the compiled loops: without a compiler a wheel has none, works more
slowly, and must not be published.
"""

from __future__ import annotations

import importlib
import sys

import numpy as np

import adaedge
from adaedge.payload import pack, unpack

CODECS = ("raw", "raw+zstd", "u8", "u4+zstd", "u4+range")
BUNDLE = "ab" * 32


def round_trip(codec: str) -> None:
    """Features become a payload's bytes, and features again: exactly if raw, otherwise to a level."""
    features = np.random.default_rng(0).normal(size=(1, 8, 14, 14)).astype(np.float32)
    data = pack(adaedge.OperatingPoint("blocks.3", codec=codec), [features], [1], bundle=BUNDLE)
    _, (found,) = unpack(data, bundle=BUNDLE)
    level = 0.0 if codec.startswith("raw") else np.ptp(features) / (2 ** int(codec[1]) - 1)
    assert np.abs(found - features).max() <= level, codec


if __name__ == "__main__":
    if "--compiled" in sys.argv:
        for extension in ("payload.entropy._ans", "payload.latent._loops", "stream._looks", "bundle._axis_filter"):
            importlib.import_module(f"adaedge.{extension}")
    for name in CODECS:
        round_trip(name)
