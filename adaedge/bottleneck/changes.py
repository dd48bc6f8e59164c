"""Tables of changes are fitted on clips: the encoder runs over them, and what it sends is counted.

May import: ``errors``; ``payload.entropy``, ``payload.latent``.

Which table a change is coded by follows from a sum of weights; these are those of a logistic regression of whether a
coefficient changes. What the encoder sends depends on the tables, and these on what it sends, so both are found in
turns. Several ways to weigh bits against error are tried on the clips; the one with the fewest bits at equal loss
stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError
from adaedge.payload.entropy import FrequencyTables
from adaedge.payload.latent import TransformCode
from adaedge.payload.latent.change_tables import (
    ESCAPE,
    OFFSET,
    PACE,
    PARTS,
    ROWS,
    STEP_BITS,
    SYMBOLS,
    UNIT,
    ChangeTables,
)
from adaedge.payload.latent.changes import Progress, choose
from adaedge.payload.latent.contexts import START, Contexts, contexts, pace_row
from adaedge.payload.latent.threads import one_thread

Features = Sequence[Array]

STRIDES = (1, 4)
"""Clips are looked at at these strides: so much changes from frame to frame where a terminal is slower."""
THRIFTS = (
    (0.05,) * PACE,
    (0.3, 0.2, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.1),
    (0.5, 0.35, 0.15, 0.08, 0.05, 0.05, 0.05, 0.05, 0.2),
)
"""What is tried on the clips: how much squared error, in squares of a step, a bit is worth, by the share that changed
in the frame before; the last is the frame after a refresh. Where a camera stands still and is noisy, most of what would
be sent is taken back by the next frame, so that a bit is worth much; where what moves stays where it went, little."""
_EVERY = 2  # rate is looked at
_NARROWEST, _WIDEST = 0.55, 3.0
_SAMPLES = 100_000
_STEPS = 8  # of Newton's method
_RIDGE = 1.0
_PRIOR = 30.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """One frame at one rate.

    Attributes:
        rows: (parts, n), of what was known of each coefficient.
        held: whether what was held of it was not 0.
        symbols: of its change.
        bits: what all changes take.
        loss: half the squared error that is left, in the metric's unit.
    """

    rows: npt.NDArray[np.int16]
    held: npt.NDArray[np.bool_]
    symbols: npt.NDArray[np.int8]
    bits: float
    loss: float


@dataclass(frozen=True, slots=True)
class _Pass:
    """All frames, and of each rate that is looked at the bits and the loss of all."""

    seen: list[_Seen]
    bits: Array
    losses: Array


def fit_changes(latents: TransformCode, clips: Sequence[Sequence[Features]]) -> TransformCode:
    """The bottleneck with tables of changes.

    Args:
        latents: the bottleneck.
        clips: of each clip the features of its frames, in order.

    Raises:
        CodecError: if no clip has two frames.
    """
    plays = [frames[::stride] for frames in clips for stride in STRIDES if len(frames) > stride]
    if not plays:
        raise CodecError(
            "tables of changes are fitted on frames in order, and no clip has two. Give a clip of some dozens as"
            " `calibrate`, or leave the codec 'delta' out."
        )
    analysed = [
        [latents.analyse(latents.layout.rows(tensors)).reshape(len(tensors[0]), -1)[0].copy() for tensors in play]
        for play in plays
    ]
    first = _passed(latents, _first(), analysed)
    tables = _counted(first.seen, _regressed(first.seen), THRIFTS[0])
    trials = [
        _passed(latents, replace(tables, thresholds=_thresholds(tables.frequencies, thrift)), analysed)
        for thrift in THRIFTS
    ]
    best = int(np.argmin(_compared(trials)))
    seen = trials[best].seen
    return replace(latents, changes=_counted(seen, _regressed(seen), THRIFTS[best]))


def _passed(latents: TransformCode, tables: ChangeTables, plays: Sequence[Sequence[Array]]) -> _Pass:
    """What the encoder does with clips, by these tables."""
    every = [
        [one for play in plays for one in _watch(latents, tables, play, rate)]
        for rate in range(0, latents.rates, _EVERY)
    ]
    bits, losses = ([sum(getattr(one, name) for one in seen) for seen in every] for name in ("bits", "loss"))
    return _Pass([one for seen in every for one in seen], np.array(bits), np.array(losses))


def _compared(trials: Sequence[_Pass]) -> list[float]:
    """Of each trial, the mean logarithm of its bits at losses that all of them reach."""
    reached = [(trial.losses.min(), trial.losses.max()) for trial in trials]
    low, high = max(low for low, _ in reached), min(high for _, high in reached)
    at = np.linspace(math.log(max(low, 1e-30)), math.log(max(high, 1e-30)), 9)
    found = []
    for trial in trials:
        order = np.argsort(trial.losses)
        losses, bits = np.log(np.maximum(trial.losses[order], 1e-30)), np.log(np.maximum(trial.bits[order], 1))
        found.append(float(np.interp(at, losses, bits).mean()))
    return found


def _first() -> ChangeTables:
    """Tables before anything is known."""
    chances = np.full((2 * ROWS, SYMBOLS), 0.02)
    chances[:, 0] = 2.0
    frequencies = FrequencyTables.near(np.rint(1e6 * chances).astype(np.int64)).frequencies
    thresholds = np.full((PACE, 2 * ROWS), 0.8, np.float32)
    return ChangeTables(np.zeros(sum(PARTS), np.int32), frequencies.astype(np.int32), thresholds)


def _watch(latents: TransformCode, tables: ChangeTables, play: Sequence[Array], rate: int) -> Iterator[_Seen]:
    """What the encoder sends of a clip, frame after frame."""
    of, (order, _) = contexts(latents, rate), latents.sent(rate)
    held = latents.quantise(play[0][None].reshape(1, *latents.spread.shape), rate)[0]
    activity, pace = np.full(len(order), START, np.uint8), PACE - 1
    for frame in play[1:]:
        scale = 1 / float(latents.steps[rate])
        progress = Progress(tables, of, held, activity, pace)
        coded, change = choose(progress, frame, order, scale), progress.changes
        rows = _rows(of, activity, change, pace)
        loss = float(np.square(frame[order] * scale - held - change).sum()) * float(latents.sizes[rate]) ** 2 / 2
        symbols = np.concatenate([symbols for _, symbols, _ in coded]).astype(np.int8)
        yield _Seen(rows, held != 0, symbols, tables.bits(coded), loss)
        after, activity, pace = progress.after()
        held = after.astype(np.int32)


def _rows(of: Contexts, activity: Array, change: Array, pace: int) -> npt.NDArray[np.int16]:
    """(parts, n): the rows of all weights that each coefficient's sum has."""
    sizes = np.append(np.minimum(np.abs(change), 2), 0).astype(np.uint8)
    near, paces, seen = [], [], 0
    for at, group in enumerate(of.groups):
        near.append(group.near_rows(sizes))
        paces.append(np.full(group.stop - group.start, at * PACE + pace))
        seen += int(np.count_nonzero(change[group.start : group.stop]))
        pace = pace_row(seen, group.stop)
    parts = of.classes, *of.before(activity), np.concatenate(near), np.concatenate(paces)
    return np.stack([rows + sum(PARTS[:at]) for at, rows in enumerate(parts)]).astype(np.int16)


def _regressed(seen: Sequence[_Seen]) -> npt.NDArray[np.int32]:
    """The weights of a logistic regression: of whether a coefficient changes, on what is known of it."""
    rows = np.concatenate([one.rows for one in seen], axis=1)
    changed = np.concatenate([one.symbols for one in seen]) != 0
    rows, changed, counts = _thinned(rows, changed)
    width = sum(PARTS)
    weights = np.zeros(width)
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(weights[rows].sum(axis=0), -15, 15)))
        slope = _sums(rows, counts * (changed - chances), width) - _RIDGE * weights
        curve = _products(rows, counts * chances * (1 - chances), width) + _RIDGE * np.eye(width)
        with one_thread():
            weights += np.linalg.solve(curve, slope)
    whole: npt.NDArray[np.int32] = np.rint(UNIT * np.clip(weights, -100, 100)).astype(np.int32)
    return whole


def _sums(rows: Array, values: Array, width: int) -> Array:
    """Of each weight, the sum of the values that have it."""
    return np.bincount(rows.reshape(-1), np.tile(values, len(rows)), minlength=width)


def _products(rows: Array, values: Array, width: int) -> Array:
    """Of each pair of weights, the sum of the values that have both: (width, width)."""
    pairs = [one.astype(np.int64) * width + other for one in rows for other in rows]
    flat = sum(np.bincount(pair, values, minlength=width * width) for pair in pairs)
    found: Array = np.asarray(flat).reshape(width, width)
    return found


def _thinned(rows: Array, changed: Array) -> tuple[Array, Array, Array]:
    """At most so many samples of each kind, and how many each counts for."""
    generator, kept, counts = np.random.default_rng(0), [], []
    for which in (np.flatnonzero(changed), np.flatnonzero(~changed)):
        chosen = which if len(which) <= _SAMPLES // 2 else generator.choice(which, _SAMPLES // 2, replace=False)
        kept.append(chosen)
        counts.append(np.full(len(chosen), len(which) / max(len(chosen), 1), np.float32))
    at = np.concatenate(kept)
    return rows[:, at], changed[at].astype(np.float32), np.concatenate(counts)


def _counted(seen: Sequence[_Seen], weights: npt.NDArray[np.int32], thrift: Sequence[float]) -> ChangeTables:
    """Tables from how often each symbol came in each row, and the thresholds that follow."""
    counts = np.zeros((2 * ROWS, SYMBOLS))
    for one in seen:
        row = np.clip((weights[one.rows].sum(axis=0) + OFFSET) >> STEP_BITS, 0, ROWS - 1) + ROWS * one.held
        counts += np.bincount(row * SYMBOLS + one.symbols, minlength=counts.size).reshape(counts.shape)
    odds = ((np.arange(ROWS) + 0.5) * 2**STEP_BITS - OFFSET) / UNIT
    chance = np.tile(1 / (1 + np.exp(-odds)), 2)[:, None]
    sizes = 0.5 ** (np.arange(1, SYMBOLS) // 2)
    sizes[ESCAPE - 1] = 1e-4
    prior = np.concatenate([1 - chance, chance * sizes / sizes.sum()], axis=1)
    mixed = counts + _PRIOR * prior
    tables = FrequencyTables.near(np.maximum(np.rint(1e3 * mixed), 1).astype(np.int64))
    frequencies = tables.frequencies.astype(np.int32)
    return ChangeTables(weights, frequencies, _thresholds(frequencies, thrift))


def _thresholds(frequencies: Array, thrift: Sequence[float]) -> npt.NDArray[np.float32]:
    """From where on a change is worth its bits."""
    bits = np.log2(frequencies[:, 0] / np.maximum(frequencies[:, 1:3].mean(axis=1), 1))
    found: npt.NDArray[np.float32] = np.clip((1 + np.multiply.outer(thrift, bits)) / 2, _NARROWEST, _WIDEST).astype(
        np.float32
    )
    return found
