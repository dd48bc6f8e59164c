"""Bottlenecks without any network, and tables of changes without any clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adaedge.payload.entropy import FrequencyTables
from adaedge.payload.latent import Layout, Tables, TransformCode
from adaedge.payload.latent.change_tables import PACE, PARTS, ROWS, SYMBOLS, ChangeTables
from adaedge.payload.latent.tables import HIGHEST_CLASS, LOWEST_CLASS
from adaedge.payload.latent.tables import SYMBOLS as VALUES

CLASSES = HIGHEST_CLASS - LOWEST_CLASS + 1


def made(places=True, side=12, width=6):
    """A bottleneck of an orthogonal transform, without any network."""
    generator = np.random.default_rng(5)
    layout = Layout.of([(1, width, side, side)], [1], ["float32"])
    channels = np.linalg.qr(generator.normal(size=(width, width)))[0]
    turns = [np.linalg.qr(generator.normal(size=(side, side)))[0] for _ in range(2)]
    spread = np.rint(8 - 14 * generator.random((layout.positions, width)))
    sizes = 2.0 ** np.array([1, 0.5, 0])
    return TransformCode(
        layout=layout,
        mean=np.zeros((1, width), np.int32),
        fraction=12,
        channels=np.rint(channels * 2**14).astype(np.int16),
        shift=8 if places else 0,
        places=np.concatenate(
            [np.rint(turn * 2**14).astype(np.int32).reshape(-1) for turn in turns if places] or [[]]
        ).astype(np.int32),
        spread=spread.astype(np.int8),
        back=np.rint(channels.T * 2**14).astype(np.int16),
        back_fraction=np.full(width, 14, np.int8),
        back_places=np.concatenate([turn.T.reshape(-1) for turn in turns if places] or [[]]).astype(np.float32),
        steps=np.rint(sizes * 2 ** (12 + 14 - 8 + 14 if places else 26)).astype(np.int64),
        sizes=sizes.astype(np.float32),
        fineness=np.array([4, 2, 0], np.int16),
        centres=np.zeros((CLASSES, 2), np.float32),
        tables=Tables.fit(np.zeros((CLASSES, VALUES))),
    )


def change_tables(seed=0):
    """Tables as they could have been fitted: a change is the likelier the larger its row is."""
    generator = np.random.default_rng(seed)
    chances = 0.002 * 1.12 ** np.arange(ROWS)
    sizes = 0.6 ** np.arange(SYMBOLS - 1)
    rows = np.column_stack([1 - chances, chances[:, None] * sizes / sizes.sum()])
    frequencies = FrequencyTables.near(np.maximum(1, np.rint(1e5 * np.tile(rows, (2, 1)))).astype(np.int64)).frequencies
    weights = generator.integers(-120, 120, sum(PARTS)).astype(np.int32)
    return ChangeTables(weights, frequencies.astype(np.int32), np.full((PACE, 2 * ROWS), 0.8, np.float32))


def moving(seed=0, **arguments):
    """A bottleneck with tables of changes."""
    return replace(made(**arguments), changes=change_tables(seed))
