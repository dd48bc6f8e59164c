"""Ten thousand updates of a taught network that must not be taken: forged, truncated, replayed, of other versions."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from adaedge import Bundle, Space, TaughtNetwork, build
from adaedge.errors import PayloadError
from adaedge.taught import Delta, Update, UpdateKey, apply, fingerprint

ATTEMPTS = 10_000
KEY = UpdateKey("a benchmark has no secrets to keep")
KINDS = (
    "forged",
    "one bit changed",
    "truncated",
    "lengthened",
    "replayed",
    "wrong version",
    "other weights",
    "other bundle",
)


def made(bundle: Bundle, taught: TaughtNetwork, draws: np.random.Generator, /, **other: Any) -> Update:
    """The next update, or one that differs from it in a field."""
    weights = taught.weights
    deltas = {
        name: Delta.of(draws.normal(0, 0.01, array.shape), draws.random(array.shape) < 0.2)
        for name, array in weights.items()
    }
    fields = {"bundle": bundle.digest, "network": "small", "base": taught.version, "version": taught.version + 1}
    fields |= {"before": fingerprint(weights), "after": fingerprint(apply(weights, deltas)), "deltas": deltas}
    return Update(**fields | other)


def attempt(kind: str, bundle: Bundle, taught: TaughtNetwork, draws: np.random.Generator, past: list[bytes]) -> bytes:
    """An update that must be refused."""
    good = made(bundle, taught, draws).to_bytes(KEY)
    if kind == "forged":
        return made(bundle, taught, draws).to_bytes(UpdateKey(draws.bytes(16)))
    if kind == "one bit changed":
        at = int(draws.integers(len(good)))
        return good[:at] + bytes([good[at] ^ 1 << int(draws.integers(8))]) + good[at + 1 :]
    if kind == "truncated":
        return good[: int(draws.integers(len(good)))]
    if kind == "lengthened":
        return good + draws.bytes(int(draws.integers(1, 100)))
    if kind == "replayed":
        return past[int(draws.integers(len(past)))]
    wrong: dict[str, Any] = {
        "wrong version": {"base": taught.version + int(draws.integers(1, 50))},
        "other weights": {"before": draws.bytes(16)},
        "other bundle": {"bundle": draws.bytes(32).hex()},
    }[kind]
    return made(bundle, taught, draws, **wrong).to_bytes(KEY)


def counted(attempts: int = ATTEMPTS) -> dict[str, Any]:
    """How many were refused, of each kind, while good ones are taken in between."""
    torch.manual_seed(0)
    net, small = (nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 10)).eval() for width in (64, 32))
    bundle = build(net, (torch.zeros(1, 16),), Space([], networks={"small": small}))
    refused, taken, draws, past = Counter[str](), 0, np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as folder:
        taught = TaughtNetwork(bundle, "small", KEY, path=Path(folder) / "small.taught")
        for index in range(attempts):
            if index % 500 == 0:
                past.append(made(bundle, taught, draws).to_bytes(KEY))
                taught.receive(past[-1])
                taken += 1
            kind, held = KINDS[index % len(KINDS)], (taught.version, fingerprint(taught.weights))
            try:
                taught.receive(attempt(kind, bundle, taught, draws, past))
            except PayloadError:
                refused[kind] += (taught.version, fingerprint(taught.weights)) == held
        again = TaughtNetwork(bundle.with_threads(1), "small", KEY, path=Path(folder) / "small.taught")
        whole = fingerprint(again.weights) == fingerprint(taught.weights)
    return {
        "attempts": attempts,
        "refused": refused.total(),
        "by_kind": dict(refused),
        "taken": taken,
        "kept_whole": whole,
    }
