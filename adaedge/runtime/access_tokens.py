"""Tokens: one for each terminal, that can be taken back, that expire, and that bound how much a terminal may ask.

May import: ``errors``. Only the SHA-256 of a token is kept: whoever reads the folder cannot pass for a terminal.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import final

from adaedge.errors import LinkError

FOLDER = "terminals"
LOOKED_EVERY_S = 1.0
"""So long, at most, a token that was taken back is still good."""
LEAST_BURST = 8.0
"""Calls at once that every terminal may make: a handshake with its probes takes five."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of one terminal.

    Attributes:
        name: of the terminal.
        sha256: of its token, in hexadecimal.
        rate_per_s: calls that it may make a second, on the mean; a second's worth at once, or `LEAST_BURST`.
        expires_s: seconds since 1970 after which the token is none; infinite for never.
    """

    name: str
    sha256: str
    rate_per_s: float = math.inf
    expires_s: float = math.inf


@dataclass(slots=True)
class _Bucket:
    """What a terminal may still send at once."""

    left: float
    at_s: float

    def take(self, rate_per_s: float, now_s: float) -> bool:
        self.left = min(max(LEAST_BURST, rate_per_s), self.left + (now_s - self.at_s) * rate_per_s)
        self.at_s = now_s
        if self.left < 1:
            return False
        self.left -= 1
        return True


@final
class Tokens:
    """The tokens in a folder: a file for each terminal. Safe to use from many threads and processes.

    Args:
        folder: that of the edge server's credentials; the tokens are in ``terminals`` in it.
        now_s: the time since 1970; that of the machine by default.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokens = Tokens(folder)
        ...     token = tokens.grant("robot-7", rate_per_s=30)
        ...     tokens.whose(token), tokens.whose("another")
        ('robot-7', None)
    """

    def __init__(self, folder: str | Path, now_s: Callable[[], float] = time.time) -> None:
        self._folder, self._now_s = Path(folder) / FOLDER, now_s
        self._lock = Lock()
        self._known: dict[str, Grant] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._looked_s = -math.inf

    def grant(self, name: str, *, rate_per_s: float = math.inf, days: float = math.inf) -> str:
        """A new token for a terminal; one that it had before is none any more.

        Raises:
            LinkError: if the name cannot be one, a number is not above 0, or the folder cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise LinkError(
                f"a terminal's name has letters, digits, and . _ - after the first, 64 at most; got {name!r}"
            )
        for what, value in (("rate_per_s", rate_per_s), ("days", days)):
            if not value > 0:
                raise LinkError(f"{what} of a token is above 0; got {value}")
        token = secrets.token_urlsafe(32)
        given = Grant(name, _hash(token), rate_per_s, self._now_s() + 86400 * days)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            unfinished = self._folder / f".{name}.{os.getpid()}"
            unfinished.write_text(json.dumps(asdict(given)), encoding="utf-8")
            unfinished.chmod(0o600)
            unfinished.replace(self._folder / f"{name}.json")
        except OSError as error:
            raise LinkError(f"cannot write the token of {name} in {self._folder}: {error}") from error
        self._looked_s = -math.inf
        return token

    def revoke(self, name: str) -> None:
        """Take a terminal's token back: a server that runs refuses it within a second.

        Raises:
            LinkError: if it has none.
        """
        path = self._folder / f"{name}.json"
        if not _NAME.fullmatch(name) or not path.exists():
            known = ", ".join(grant.name for grant in self.grants()) or "none"
            raise LinkError(f"no terminal {name!r} has a token; those that have: {known}")
        path.unlink()
        self._looked_s = -math.inf

    def grants(self) -> list[Grant]:
        """What all terminals were given, by name; expired ones too."""
        return sorted(self._look().values(), key=lambda grant: grant.name)

    def whose(self, token: str) -> str | None:
        """The terminal whose token it is; ``None`` where it belongs to no terminal, or has expired."""
        grant = self._grant(token)
        return None if grant is None else grant.name

    def allows(self, token: str) -> bool:
        """Whether the terminal may send now; if so, it is counted."""
        return self.admit(token)[1]

    def admit(self, token: str) -> tuple[str | None, bool]:
        """Whose token it is, and whether that terminal may send now, in one look; if so, it is counted."""
        grant = self._grant(token)
        if grant is None or math.isinf(grant.rate_per_s):
            return (None, False) if grant is None else (grant.name, True)
        now_s = self._now_s()
        with self._lock:
            bucket = self._buckets.setdefault(grant.sha256, _Bucket(math.inf, now_s))
            return grant.name, bucket.take(grant.rate_per_s, now_s)

    def _grant(self, token: str) -> Grant | None:
        """What it was granted; ``None`` where it belongs to no terminal, or has expired."""
        grant = self._look().get(_hash(token))
        return None if grant is None or self._now_s() >= grant.expires_s else grant

    def _look(self) -> dict[str, Grant]:
        """SHA-256 → what was given, read again once a second."""
        now_s = self._now_s()
        with self._lock:
            if not 0 <= now_s - self._looked_s < LOOKED_EVERY_S:  # a clock that was set back looks again too
                found = [_read(path) for path in sorted(self._folder.glob("[!.]*.json"))]
                self._known, self._looked_s = {grant.sha256: grant for grant in found}, now_s
                self._buckets = {sha256: self._buckets[sha256] for sha256 in self._known if sha256 in self._buckets}
            return self._known


def _read(path: Path) -> Grant:
    try:
        return Grant(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LinkError(
            f"{path} is no terminal's token: {error}. Delete it, and grant the terminal a new one"
        ) from error


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
