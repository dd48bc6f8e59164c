"""Check models one after another in a process that is started again when a model kills it or takes too long."""

from __future__ import annotations

import json
import logging
import multiprocessing
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

Check = Callable[[str], dict[str, Any]]


def collect(check: Check, names: Sequence[str], timeout_s: float, partial: Path | None = None) -> dict[str, Any]:
    """Name → row of every model, printed as they come.

    Args:
        check: makes the row of the model that it is given the name of.
        names: the models.
        timeout_s: for each of them.
        partial: a file that keeps the rows, and gives them back after an interruption; the caller deletes it.
    """
    kept = partial.read_text(encoding="utf-8").splitlines() if partial is not None and partial.exists() else []
    done = {row["model"]: row for row in map(json.loads, kept)}
    worker = Worker(check, timeout_s)
    for name in track([name for name in names if name not in done], "models"):
        done[name] = worker.check(name)
        print(json.dumps(done[name]), flush=True)
        if partial is not None:
            partial.parent.mkdir(exist_ok=True)
            with partial.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[name]) + "\n")
    worker.close()
    return {name: done[name] for name in names}


class Worker:
    """A process with one thread that makes one row of each model.

    ``check`` is called there with the model's name, and returns its row. Where it cannot, the row says ``obstacle``.
    """

    def __init__(self, check: Check, timeout_s: float) -> None:
        self._check, self._timeout_s = check, timeout_s
        self._process: Any = None

    def check(self, name: str) -> dict[str, Any]:
        """The row of one model."""
        if self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_work, args=(theirs, self._check), daemon=True)
            self._process.start()
            theirs.close()
        self._pipe.send(name)
        try:
            if self._pipe.poll(self._timeout_s):
                row: dict[str, Any] = self._pipe.recv()
                return row
            problem = f"not finished within {self._timeout_s:g} s"
        except EOFError:
            problem = "the process died"
        self._process.kill()
        self._process.join()
        return {"model": name, "obstacle": problem}

    def close(self) -> None:
        """Let the process end."""
        if self._process is not None and self._process.is_alive():
            self._pipe.send(None)


def _work(pipe: Connection, check: Check) -> None:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    while (name := pipe.recv()) is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                row = check(name)
        except Exception as error:
            traceback.print_exc()
            row = {"model": name, "obstacle": f"{type(error).__name__}: {error}"[:300]}
        pipe.send(row)
