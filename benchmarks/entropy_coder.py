"""What does an entropy coder that runs everywhere cost, in bytes and in time?

The networks of ``rate_accuracy`` that have classes, each at all rates of its bottleneck, a few test photographs. Whole
payloads, features to segments and back, by the coder's loops in C and in Python; and the symbols alone, in C and in
constriction (stream/stack of its 0.4), which adaedge used before: it has no wheel for Linux on aarch64. One thread,
batch 1, arms in random order. ``bytes`` is a payload's mean length with the coder in question, its segments' prefix
included. Bars: no payload more than 8 bytes longer than with constriction; in Python at most 40 ms to encode or to
decode at the default rate, which is the last.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from constriction import stream

from adaedge import Bottleneck
from adaedge.payload.entropy import FrequencyTables, Stack, plain, stack
from adaedge.payload.latent import loops
from adaedge.payload.latent.tables import Classes, shifted
from benchmarks import result
from benchmarks.rate_accuracy import CASES, SPLIT, Case, Scorer
from benchmarks.timing import spread, timed

BARS = {"longer_bytes": 8, "python_s": 0.040}
NETWORKS = ("lite0", "mobilenetv2")


class Constriction:
    """The same symbols and tables in constriction's asymmetric numeral systems."""

    def __init__(self, tables: FrequencyTables) -> None:
        rows = (np.trim_zeros(row, "b").astype(np.float32) for row in tables.frequencies)
        self.models = [stream.model.Categorical(row, perfect=False) for row in rows]

    def push(self, symbols: np.ndarray, classes: Classes) -> np.ndarray:
        """The words of symbols."""
        coder = stream.stack.AnsCoder()
        for row, start, stop in reversed(runs(classes)):
            coder.encode_reverse(symbols[start:stop], self.models[row])
        return coder.get_compressed()

    def pop(self, words: np.ndarray, classes: Classes) -> np.ndarray:
        """The inverse of ``push``."""
        coder = stream.stack.AnsCoder(words)
        return np.concatenate([coder.decode(self.models[row], stop - start) for row, start, stop in runs(classes)])


def runs(classes: Classes) -> list[tuple[int, int, int]]:
    """Row, start and stop of each run of coefficients of one class."""
    edges = [0, *(np.flatnonzero(np.diff(classes.each)) + 1).tolist(), len(classes)]
    return [(int(classes.rows[start]), start, stop) for start, stop in itertools.pairwise(edges) if stop > start]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "adaedge-rate-accuracy")
    parser.add_argument("--smoke", action="store_true", help="two rates and rounds of one network; writes nothing")
    asked = parser.parse_args()
    assert stack.compiled, "the extension is not built here: install the project with a C compiler"
    torch.set_num_threads(1)
    asked.cache.mkdir(parents=True, exist_ok=True)
    rows = [row for name in NETWORKS[: 1 if asked.smoke else None] for row in rows_of(CASES[name], asked)]
    if not asked.smoke:
        result.write("entropy_coder", rows, threads=1, batch=1, rounds=asked.rounds, bars=BARS)


def rows_of(case: Case, asked: argparse.Namespace) -> list[dict[str, Any]]:
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    fit = split["fit_and_choose"][: 8 if asked.smoke else 64]
    scorer = Scorer(case, split["test"][:8], fit, asked.cache)
    bottleneck = Bottleneck.fit(
        scorer.cut, (), split=case.split, images=[scorer.tensor(frame) for frame in scorer.fit_frames]
    )
    rates = list(bottleneck.rates)[-2 if asked.smoke else 0 :]
    rows = [row_of(scorer, bottleneck, rate, 2 if asked.smoke else asked.rounds) for rate in rates]
    for row in rows:
        print({name: value for name, value in row.items() if not name.endswith("_s")})
    return rows


def row_of(scorer: Scorer, bottleneck: Bottleneck, rate: int, rounds: int) -> dict[str, Any]:
    bottleneck.rate = rate
    codec, tables = bottleneck.codec, bottleneck.latents.tables.coded
    theirs, each = Constriction(tables), [symbols_of(bottleneck, feature) for feature in scorer.features]
    ours = [pushed(*one, tables) for one in each]
    other = [theirs.push(*one) for one in each]
    for (symbols, classes), words, others in zip(each, ours, other, strict=True):
        assert np.array_equal(Stack.of(words).pop(classes.rows, tables), symbols)
        assert np.array_equal(theirs.pop(others, classes), symbols)
    features, sent = (
        itertools.cycle(scorer.features),
        itertools.cycle([codec.encode([f])[0] for f in scorer.features]),
    )
    symbols, words = itertools.cycle(each), itertools.cycle(zip(ours, other, each, strict=True))
    arms = {
        "encode_compiled": lambda: codec.encode([next(features)])[0],
        "decode_compiled": lambda: codec.decode(*next(sent), 2**24)[0],
        "encode_python": in_python(lambda: codec.encode([next(features)])[0]),
        "decode_python": in_python(lambda: codec.decode(*next(sent), 2**24)[0]),
        "push_compiled": lambda: pushed(*next(symbols), tables),
        "push_constriction": lambda: theirs.push(*next(symbols)),
        "pop_compiled": lambda: popped(next(words), tables),
        "pop_constriction": lambda: constriction_popped(theirs, next(words)),
    }
    seconds = {name: both[0] for name, both in timed(arms, rounds).items()}
    longer = max(4 * (len(mine) - len(its)) for mine, its in zip(ours, other, strict=True))
    payload = np.mean([sum(map(len, codec.encode([feature])[0][1])) for feature in scorer.features])
    difference = np.mean([4 * (len(mine) - len(its)) for mine, its in zip(ours, other, strict=True)])
    row = {
        "network": scorer.case.name,
        "split": scorer.case.split,
        "rate": rate,
        "coefficients": len(each[0][0]),
        "bytes": round(float(payload), 1),
        "constriction_bytes": round(float(payload - difference), 1),
        "longest_excess_bytes": longer,
        **{f"{name}_s": spread(values) for name, values in seconds.items()},
    }
    slow = max(row["encode_python_s"]["median"], row["decode_python_s"]["median"])
    return row | {"holds": longer <= BARS["longer_bytes"] and (slow <= BARS["python_s"] or rate < bottleneck.rates[-1])}


def symbols_of(bottleneck: Bottleneck, feature: np.ndarray) -> tuple[np.ndarray, Classes]:
    """The symbols that the codec pushes for these features, and the classes of their tables."""
    latents = bottleneck.latents
    values = latents.quantise(latents.analyse(latents.layout.rows([feature])), bottleneck.rate)
    usual = latents.sent(bottleneck.rate)[1]
    classes = shifted(usual, latents.tables.shift(values, usual))
    symbols = np.empty_like(values[0])
    loops.LOOPS.symbols(values[0], classes.largest, symbols)
    return symbols, classes


def pushed(symbols: np.ndarray, classes: Classes, tables: FrequencyTables) -> np.ndarray:
    made = Stack()
    made.push(symbols, classes.rows, tables)
    return made.words()


def popped(given: tuple[Any, Any, Any], tables: FrequencyTables) -> np.ndarray:
    words, _, (_, classes) = given
    return Stack.of(words).pop(classes.rows, tables)


def constriction_popped(theirs: Constriction, given: tuple[Any, Any, Any]) -> np.ndarray:
    _, words, (_, classes) = given
    return theirs.pop(words, classes)


def in_python(arm: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with python_loops():
            return arm()

    return run


@contextmanager
def python_loops() -> Iterator[None]:
    """As where the extensions were not compiled."""
    before = stack.LOOPS, loops.LOOPS
    stack.LOOPS, loops.LOOPS = plain, loops.Plain
    try:
        yield
    finally:
        stack.LOOPS, loops.LOOPS = before


if __name__ == "__main__":
    main()
