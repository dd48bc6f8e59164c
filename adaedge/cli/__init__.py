"""The command line: ``adaedge COMMAND``, the commands as they are listed below.

May import everything, but inside each command: ``profile``, ``serve``, ``token``, ``run``, ``simulate``, ``divide``,
``substitute``, ``benchmark``, ``report`` and ``doctor`` need no torch, nor does ``estimate`` of a bundle or a profile.
An error that adaedge raises on purpose is one line on the standard error and exit code 2, without a traceback.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, TextIO

import typer

from adaedge._version import __version__
from adaedge.cli import measure, operate, prepare, show
from adaedge.cli.benchmark import benchmark
from adaedge.cli.divide import divide
from adaedge.cli.doctor import doctor
from adaedge.cli.estimate import estimate
from adaedge.cli.substitute import substitute
from adaedge.cli.token import token
from adaedge.errors import AdaedgeError
from adaedge.extras import explained

app = typer.Typer(
    help="Run a PyTorch model on a battery-powered terminal together with an edge server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (
    prepare.inspect, estimate, prepare.build, measure.profile, operate.serve, operate.run, measure.simulate,
    divide, substitute, benchmark, measure.report, doctor, prepare.demo,
):  # fmt: skip
    app.command()(command)
app.add_typer(token, name="token")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"adaedge {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001 -- as `warnings` calls it
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    if category is UserWarning:  # ours; a library's are not for the person at the command line
        show.warn(str(message))


def main() -> None:
    """Run the command line."""
    warnings.showwarning = _show_warning
    sys.path.insert(0, "")  # as `python -m` does: `package.module:callable` may stand in this folder
    try:
        app()
    except AdaedgeError as error:
        show.fail(str(error))
    except OSError as error:
        show.fail(f"cannot read or write {error.filename or 'a file'}: {error.strerror or error}")
    except ModuleNotFoundError as error:
        missing = explained(error, "this command")
        if missing is error:
            raise
        show.fail(str(missing))
    else:
        return
    sys.exit(2)


if __name__ == "__main__":
    main()
