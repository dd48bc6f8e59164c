"""A transform becomes integers, rates and tables: everything that terminal and edge server need.

May import: of this part ``fisher``, ``transform``; ``payload.latent``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from adaedge.arrays import Array
from adaedge.bottleneck.fisher import Sample
from adaedge.bottleneck.transform import Transform
from adaedge.payload.latent import Layout, Tables, TransformCode
from adaedge.payload.latent.tables import HIGHEST_CLASS, LOWEST_CLASS, SYMBOLS
from adaedge.payload.latent.transform import CLIP, LEAST_CLASS, PLACE_BITS, magnitudes, positioned

_CLASSES = HIGHEST_CLASS - LOWEST_CLASS + 1
_LARGEST = SYMBOLS // 2 - 1
_MATRIX_BITS = 15
_ROOM = 2.0**50
_TRIALS, _NEAR, _FAR, _MOST = 5, 1.25, 1.5, 4
_HEADROOM = 4
"""How much larger a value may be than the largest that was seen, before it is clipped."""


def fit_latents(
    sample: Sample,
    transform: Transform,
    layout: Layout,
    *,
    rates: int,
    finest: float,
    measured: Callable[[TransformCode], float] | None = None,
    start: float | None = None,
) -> TransformCode:
    """The bottleneck as arrays.

    What is expected holds to second order; a deep network may lose several times as much. So where the loss can be
    measured, the step is made finer until the last rate loses no more than it should. Where what is measured is not in
    units of the expected loss, as the share of a map's labels that change is not, it is made coarser as well: labels
    change in proportion to the error, the expected loss to its square.

    Args:
        sample: features, for the tables.
        transform: the analytic transform.
        layout: how features become rows.
        rates: how many; each step is √2 of the next, or the fourth root of 2 where there is less to lose.
        finest: loss at the last rate.
        measured: what a bottleneck's last rate really loses.
        start: expected loss at which the search begins, where ``finest`` is in other units.
    """
    aim = finest if start is None else start
    before: tuple[float, float] | None = None  # what was aimed at, and what was lost
    for _ in range(_TRIALS):
        if measured is None:
            break
        (last,) = _fineness(transform.variances, aim, 1)
        lost = measured(integer_latents(sample, transform, layout, np.array([last])))
        if lost <= finest * _NEAR and (start is None or lost >= finest / _FAR):
            break
        if start is not None and before is not None and aim < before[0] and lost >= before[1]:
            aim = before[0]  # a finer step loses no less: something else limits it
            break
        before = aim, lost
        aim *= finest / lost if start is None else min(max(finest / max(lost, 1e-9), 1 / _MOST), _MOST) ** 2
    return integer_latents(sample, transform, layout, _fineness(transform.variances, aim, rates))


def _fineness(variances: Array, finest: float, rates: int) -> Array:
    """Class of each step, the coarsest first."""
    last = _level(variances, finest)
    # From a step that loses a quarter of all there is: much coarser ones would send nothing.
    room = _level(variances, variances.sum() / 4) - last
    apart = 2 if room >= rates else 1
    fineness: Array = last + apart * np.arange(rates)[::-1]
    return fineness


def integer_latents(sample: Sample, transform: Transform, layout: Layout, fineness: Array) -> TransformCode:
    """A transform at given steps as arrays.

    Args:
        sample: features, for the tables; their gradients are not looked at.
        transform: the transform, analytic or refined.
        layout: how features become rows.
        fineness: (rates,): class of each step, the coarsest first; a step is 2**(class / 4).
    """
    last = int(fineness[-1])
    spread = np.rint(2 * np.log2(np.maximum(transform.variances, 1e-30))).astype(np.int64)
    # What no rate ever sends is not stored; the rest keeps its class within int8.
    kept = (spread >= last + LEAST_CLASS).any(axis=0)
    kept[0] = True
    spread = np.clip(spread[:, kept] - last, LEAST_CLASS - 1, 127)
    channels, back = transform.channels[:, kept], transform.back[kept]

    fraction = _bits(_farthest(sample.rows, transform.mean, layout) * _HEADROOM, CLIP)
    exponent = _bits(np.abs(channels).max(), 2**_MATRIX_BITS - 1)
    whole = np.rint(np.ldexp(channels, exponent)).astype(np.int16)
    back_fraction = np.array([_bits(row, 2**_MATRIX_BITS - 1) for row in np.abs(back).max(axis=1)])
    maps = [np.rint(np.ldexp(one, PLACE_BITS)).astype(np.int32) for one in transform.maps]
    shift = next(
        bits for bits in range(64) if max(magnitudes(whole, [abs(one) for one in maps], bits)[1:], default=0) < _ROOM
    )
    places = np.concatenate([one.reshape(-1) for one in maps]) if maps else np.zeros(0, np.int32)
    back_places = np.concatenate([one.reshape(-1) for one in transform.back_maps]) if maps else np.zeros(0)
    scale = PLACE_BITS if maps else 0
    sizes = 2.0 ** (fineness / 4)
    latents = TransformCode(
        layout=layout,
        mean=np.rint(np.ldexp(transform.mean, fraction)).astype(np.int32),
        fraction=fraction,
        channels=whole,
        shift=shift,
        places=places,
        spread=spread.astype(np.int8),
        back=np.rint(np.ldexp(back, back_fraction[:, None])).astype(np.int16),
        back_fraction=back_fraction.astype(np.int8),
        back_places=back_places.astype(np.float32),
        steps=np.maximum(1, np.rint(np.ldexp(sizes, fraction + exponent - shift + scale))).astype(np.int64),
        sizes=sizes.astype(np.float32),
        fineness=(fineness - last).astype(np.int16),
        centres=np.zeros((_CLASSES, 2), np.float32),
        tables=Tables.fit(np.zeros((_CLASSES, SYMBOLS))),
    )
    return _with_tables(latents, sample)


def _farthest(rows: Array, mean: Array, layout: Layout) -> float:
    """How far a value may be from its mean: as far as one was; where each position has its own, as another scene."""
    farthest = np.abs(rows - positioned(mean, layout)).max()
    if len(mean) == layout.positions:
        farthest = max(farthest, np.abs(rows - mean.mean(axis=0)).max(), np.ptp(mean, axis=0).max())
    return float(farthest)


def _level(variances: Array, loss: float) -> int:
    """Class of the step at which rounding is expected to cost so much: the reverse water level, in quarter octaves."""
    total = variances.sum() / 2
    classes = np.arange(160, -160, -1)
    losses = np.array([np.minimum(variances, 2.0 ** (at / 2) / 6).sum() / 2 for at in classes])
    return int(classes[np.argmax(losses <= min(loss, total / 4))])


def _with_tables(latents: TransformCode, sample: Sample) -> TransformCode:
    """Tables and centres from how the sample's own latents fall, all rates together."""
    counts = np.zeros((_CLASSES, SYMBOLS))
    moved = np.zeros((_CLASSES, 2, 2))
    analysed = latents.analyse(sample.rows)
    for rate in range(latents.rates):
        order, classes = latents.sent(rate)
        values = np.abs(analysed.reshape(len(analysed), -1)[:, order]) / latents.steps[rate]
        integers = latents.quantise(analysed, rate)
        rows = np.broadcast_to(classes.each - LOWEST_CLASS, integers.shape)
        magnitudes = np.abs(integers)
        symbols = np.where(magnitudes <= _LARGEST, integers + _LARGEST, SYMBOLS - 1)
        np.add.at(counts, (rows, symbols), 1)
        for at, chosen in enumerate((magnitudes == 1, magnitudes >= 2)):
            np.add.at(moved[:, at, 0], rows[chosen], (values - magnitudes)[chosen])
            np.add.at(moved[:, at, 1], rows[chosen], 1)
    centres = moved[..., 0] / (moved[..., 1] + 10)
    return replace(latents, tables=Tables.fit(counts), centres=centres.astype(np.float32))


def _bits(largest: float, limit: int) -> int:
    """The largest power of two that keeps ``largest`` within the limit."""
    return math.floor(math.log2(limit / max(largest, 1e-30)))
