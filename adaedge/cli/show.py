"""What a person sees: the console, progress bars, lines on the standard error.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

# Names of files, hosts and layers are shown as they are, never read as markup or emoji.
console = Console(markup=False, emoji=False)
errors = Console(stderr=True, markup=False, emoji=False)

Report = Callable[[str, int, int], None]
"""Called as ``report(what, done, total)`` while long work goes on."""


def fail(text: str) -> None:
    """Say on the standard error why nothing came of it."""
    errors.print(Text.assemble(("error:", "bold red"), " ", text), soft_wrap=True)


def warn(text: str) -> None:
    """Say on the standard error what may surprise."""
    errors.print(Text.assemble(("warning:", "bold yellow"), " ", text), soft_wrap=True)


def document(text: str, path: Path | None = None) -> None:
    """Print a JSON document as it is, or write it to a file."""
    if path is None:
        console.print(text, highlight=False, soft_wrap=True)
    else:
        path.write_text(text + "\n", encoding="utf-8")


def table(title: str) -> Table:
    """An empty table that is as narrow as can be: what is wide folds, and nothing of it is cut off."""
    return Table(
        title=title,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )


@contextmanager
def progress() -> Iterator[Report]:
    """A progress bar on the standard error, driven by ``report(what, done, total)``; one line for each ``what``."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as bar:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total or None)
            bar.update(tasks[what], completed=done, total=total or None)

        yield report
