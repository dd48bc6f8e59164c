"""Calls: those that an edge server or an ingress answers; the token is checked before anything else is read.

May import: ``errors``; of this part ``bodies``, ``callers``, ``prometheus`` and ``rpc``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, final

import grpc

from adaedge.errors import OverloadError, PayloadError
from adaedge.runtime import rpc
from adaedge.runtime.bodies import Bodies
from adaedge.runtime.callers import GreedyCallerError, UnknownCallerError

if TYPE_CHECKING:
    from adaedge.runtime.prometheus import Observer

_log = logging.getLogger(__name__)

Infer = Callable[[bytes, Any, str], bytes]
"""What answers a payload: its bytes, gRPC's context, the terminal's name."""


class Naming(Protocol):
    """Tells whose call it is: `Callers`, or `ForwardedCallers` behind an ingress."""

    def name(self, context: Any) -> str:
        """The terminal's name; raises ``UnknownCallerError`` or ``GreedyCallerError``."""
        ...


@final
class Refusals:
    """Ends calls that are refused: the terminal learns why, so do the log and the observer."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer

    def refuse(
        self, reason: str, context: Any, code: grpc.StatusCode, text: str, about: Mapping[str, Any] | None = None
    ) -> NoReturn:
        """End a call; ``reason`` is one of those of `Observer.refused`, ``about`` what the log says of the frame."""
        _log.info("refused, %s: %s", reason, text, extra=about)
        if self._observer is not None:
            self._observer.refused(reason)
        abort(context, code, text)

    def left_s(self, context: Any) -> float | None:
        """Seconds until a call's deadline, ``None`` where it has none; the call is ended where that has passed."""
        left_s: float | None = context.time_remaining()
        if left_s is not None and left_s <= 0:
            text = "the deadline had passed before the frame's turn came"
            self.refuse("late", context, grpc.StatusCode.DEADLINE_EXCEEDED, text)
        return left_s


@final
class Calls:
    """The calls of `rpc`.

    Args:
        digest: of the bundle that is answered with.
        callers: tell whose call it is.
        infer: answers a payload.
        refusals: end the calls of whoever may not call.
        more: calls beside these three: name of each → what answers it.
    """

    def __init__(
        self,
        digest: str,
        callers: Naming,
        infer: Infer,
        refusals: Refusals,
        more: Mapping[str, Infer] | None = None,
    ) -> None:
        self._digest, self._callers, self._infer, self._refusals = digest, callers, infer, refusals
        self._more = more or {}
        self._bodies = Bodies()

    def handler(self) -> Any:
        """What gRPC is given.

        Payloads are read here, as a stream of one: gRPC would otherwise wait for them before anybody is asked for a
        token, in a thread that it has not for others then.
        """
        calls: dict[str, Infer] = {rpc.HELLO: self._hello, rpc.INFER: self._infer, rpc.PROBE: self._probe, **self._more}
        checked: dict[str, Any] = {
            rpc.path(name): grpc.stream_unary_rpc_method_handler(self._checked(call)) for name, call in calls.items()
        }
        return _Door(checked, self._bodies)

    def _checked(self, call: Infer) -> Callable[[Iterator[bytes], Any], bytes]:
        def run(requests: Iterator[bytes], context: Any) -> bytes:
            try:
                terminal = self._callers.name(context)
            except UnknownCallerError as error:
                self._refusals.refuse("token", context, grpc.StatusCode.UNAUTHENTICATED, str(error))
            except GreedyCallerError as error:
                self._refusals.refuse("rate", context, grpc.StatusCode[rpc.OVERLOAD], str(error))
            try:
                with self._bodies.coming(terminal, context):
                    request = next(requests, None)
            except OverloadError as error:
                self._refusals.refuse("overload", context, grpc.StatusCode[rpc.OVERLOAD], str(error))
            if request is None:
                text = "the call ended before its payload came"
                self._refusals.refuse("unreadable", context, grpc.StatusCode.INVALID_ARGUMENT, text)
            return call(request, context, terminal)

        return run

    def _hello(self, request: bytes, context: Any, _: str) -> bytes:
        try:
            reason = rpc.mismatch(request, self._digest)
        except PayloadError as error:
            abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if reason:
            abort(context, grpc.StatusCode.FAILED_PRECONDITION, reason)
        return rpc.hello(self._digest)

    def _probe(self, request: bytes, context: Any, _: str) -> bytes:  # noqa: ARG002 -- as the others
        return rpc.PROBE_REPLY.pack(len(request))


@final
class _Door(grpc.GenericRpcHandler):
    """Finds what answers a call. gRPC asks it for every call, for one that it has no thread for too."""

    def __init__(self, handlers: Mapping[str, Any], bodies: Bodies) -> None:
        self._handlers, self._bodies = handlers, bodies

    def service(self, handler_call_details: Any) -> Any:
        self._bodies.sweep()
        return self._handlers.get(handler_call_details.method)


def abort(context: Any, code: grpc.StatusCode, text: str) -> NoReturn:
    """End a call with a status."""
    context.abort(code, text)
    raise AssertionError("abort raises")
