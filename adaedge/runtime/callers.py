"""Callers: who calls an edge server, by the token that the call bears, and whether it may.

May import: nothing of adaedge but this part.
"""

from __future__ import annotations

import hmac
from typing import Any, final

from adaedge.runtime import rpc
from adaedge.runtime.access_tokens import Tokens


class UnknownCallerError(Exception):
    """A call that bears no token, or one that belongs to no terminal any more."""


class GreedyCallerError(Exception):
    """A call beyond the rate that its terminal was given."""


@final
class Callers:
    """Tells whose call it is.

    Args:
        token: the one that all terminals may share; where it is ``None`` and there are no other tokens, anyone may
            call.
        tokens: those of single terminals.
    """

    def __init__(self, token: str | None, tokens: Tokens | None) -> None:
        self._shared = None if token is None else rpc.bearer(token).encode()
        self._tokens = tokens

    def name(self, context: Any) -> str:
        """The terminal's name; its address where it has no token of its own.

        Raises:
            UnknownCallerError: if it may not call.
            GreedyCallerError: if it calls too often.
        """
        if self._shared is None and self._tokens is None:
            return str(context.peer())
        shown = _shown(context)
        if self._shared is not None and hmac.compare_digest(shown.encode(), self._shared):
            return str(context.peer())
        token = shown.removeprefix(rpc.bearer(""))
        name, may_send = (None, False) if self._tokens is None else self._tokens.admit(token)
        if name is None:
            raise UnknownCallerError("no valid token. Copy the edge server's token to the terminal")
        if not may_send:
            raise GreedyCallerError(f"{name} sends more than it was granted. Let it offload less, or grant it more")
        return name


@final
class ForwardedCallers:
    """Tells whose call it is where an ingress has checked that and says it.

    Args:
        token: of the ingress; ``None`` lets anyone call.
    """

    def __init__(self, token: str | None) -> None:
        self._ingress = Callers(token, None)

    def name(self, context: Any) -> str:
        """The name that the ingress says.

        Raises:
            UnknownCallerError: if it is not the ingress that calls.
        """
        peer = self._ingress.name(context)
        return next((str(value) for key, value in context.invocation_metadata() if key == rpc.TERMINAL), peer)


def _shown(context: Any) -> str:
    """The call's authorization; bytes where the caller made it so."""
    found = next((value for key, value in context.invocation_metadata() if key == rpc.AUTHORIZATION), "")
    return found.decode("latin-1") if isinstance(found, bytes) else str(found)
