"""Options of a modem's signal, and what reads it.

May import, inside the functions: ``errors``, ``channel``, ``runtime``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from adaedge.errors import ScheduleError

if TYPE_CHECKING:
    from adaedge.channel import LinkSignal
    from adaedge.runtime import SignalWatch

FRESH_S = 30.0
"""A file that was written longer ago says nothing of the signal now."""
FILE, COMMAND, MODEM_MANAGER = "file:", "command:", "modem-manager"

Signal = Annotated[
    str | None,
    typer.Option(
        help=f"Where the modem's signal comes from: {FILE}PATH, {COMMAND}'PROGRAM ARGUMENTS' (both JSON such "
        f'as {{"cqi": 9}}), or {MODEM_MANAGER}.'
    ),
]
SignalBandwidth = Annotated[float, typer.Option(help="Hertz of the uplink, for a rate from the signal.")]
SignalShare = Annotated[float, typer.Option(help="Of the cell's rate, what this terminal gets on its uplink.")]


def watch(source: str | None, bandwidth_hz: float, share: float) -> SignalWatch | AbstractContextManager[None]:
    """Reads the signal while a run lasts; nothing where no source is named.

    Raises:
        ScheduleError: if there is no such source, or what it says cannot be understood.
    """
    if source is None:
        return nullcontext()
    from adaedge.runtime import SignalWatch

    return SignalWatch(_reader(source), bandwidth_hz=bandwidth_hz, share=share)


def _reader(source: str) -> Callable[[], LinkSignal]:
    from adaedge.channel import ask_modem_manager, ask_signal, read_signal

    if source == MODEM_MANAGER:
        return ask_modem_manager
    if path := _after(FILE, source):
        return lambda: read_signal(path, fresh_s=FRESH_S)
    if command := _words(_after(COMMAND, source)):
        return lambda: ask_signal(command)
    raise ScheduleError(
        f"no signal {source!r}: --signal takes {FILE}PATH, {COMMAND}'PROGRAM ARGUMENTS' or {MODEM_MANAGER}"
    )


def _after(kind: str, source: str) -> str:
    return source.removeprefix(kind) if source.startswith(kind) else ""


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ScheduleError(f"the command of --signal cannot be read: {error} in {command!r}") from error
