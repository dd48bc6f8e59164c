"""What a person sees: the console, progress bars, lines on the standard error.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

console = Console()
errors = Console(stderr=True)

Report = Callable[[str, int, int], None]
"""Called as ``report(what, done, total)`` while long work goes on."""


def fail(text: str) -> None:
    """Say on the standard error why nothing came of it."""
    errors.print(f"[bold red]error:[/] {_plain(text)}", soft_wrap=True, highlight=False)


def warn(text: str) -> None:
    """Say on the standard error what may surprise."""
    errors.print(f"[bold yellow]warning:[/] {_plain(text)}", soft_wrap=True, highlight=False)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def document(text: str, path: Path | None = None) -> None:
    """Print a JSON document as it is, or write it to a file."""
    if path is None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        path.write_text(text + "\n", encoding="utf-8")


@contextmanager
def progress() -> Iterator[Report]:
    """A progress bar on the standard error, driven by ``report(what, done, total)``; one line for each ``what``."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as bar:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield report
