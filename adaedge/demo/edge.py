"""The demo's edge server: ``adaedge serve`` in a process of its own.

May import: ``errors``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adaedge.errors import LinkDownError

_STOP_S = 10.0


@contextmanager
def edge_server(bundle: Path, state: Path) -> Iterator[dict[str, Any]]:
    """Start an edge server for a bundle, yield the line that it prints once it listens, and stop it in the end.

    Raises:
        LinkDownError: if it ends before it listens.
    """
    command = [sys.executable, "-m", "adaedge", "serve", str(bundle), "--listen", "127.0.0.1:0", "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # because it is a pipe
        line = process.stdout.readline()
        if not line:
            raise LinkDownError(
                f"the edge server ended with code {process.wait()} before it listened; see its words above"
            )
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
