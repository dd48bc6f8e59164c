"""Command ``token``: which terminals may use an edge server.

May import, inside the commands: ``runtime``.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaedge.cli import show
from adaedge.cli.limits import Json

if TYPE_CHECKING:
    from adaedge.runtime import Tokens

token = typer.Typer(help="Tokens of single terminals: granted, listed, taken back.", no_args_is_help=True)
State = Annotated[Path | None, typer.Option(help="The edge server's folder, where it is not the usual one.")]
Name = Annotated[str, typer.Argument(help="The terminal's name.")]


@token.command()
def grant(
    name: Name,
    rate: Annotated[float | None, typer.Option(help="Calls a second that it may make; any number unless told.")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires; never unless told.")] = None,
    state: State = None,
) -> None:
    """Make a token for a terminal and print it, once: only its hash is kept. An older one of the same name is void.

    Example: `adaedge token grant robot-7 --rate 30 > token`
    """
    made = _tokens(state).grant(
        name, rate_per_s=math.inf if rate is None else rate, days=math.inf if days is None else days
    )
    print(made)  # noqa: T201 -- this line is for programs


@token.command()
def revoke(name: Name, state: State = None) -> None:
    """Take a terminal's token back; an edge server that runs refuses it within a second.

    Example: `adaedge token revoke robot-7`
    """
    _tokens(state).revoke(name)
    show.console.print(f"{name} has no token any more.", highlight=False)


@token.command("list")
def list_(state: State = None, as_json: Json = False) -> None:
    """Name the terminals that have a token.

    Example: `adaedge token list`
    """
    rows = [
        {
            "name": given.name,
            "rate_per_s": None if math.isinf(given.rate_per_s) else given.rate_per_s,
            "expires": None
            if math.isinf(given.expires_s)
            else datetime.fromtimestamp(given.expires_s, UTC).isoformat(),
        }
        for given in _tokens(state).grants()
    ]
    if as_json:
        show.document(json.dumps(rows, indent=1))
        return
    for row in rows:
        rate = "any rate" if row["rate_per_s"] is None else f"{row['rate_per_s']:g} calls a second"
        show.console.print(f"{row['name']}: {rate}, {row['expires'] or 'for ever'}", highlight=False)
    if not rows:
        show.console.print("No terminal has a token of its own.", highlight=False)


def _tokens(state: Path | None) -> Tokens:
    from adaedge.runtime import Tokens, default_folder

    return Tokens(state or default_folder())
