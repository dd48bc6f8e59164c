"""Ways: the ingress's connections to the replicas that there are now.

May import: ``runtime``; of this part ``affinity``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any, final

import grpc

from adaedge.cluster.affinity import Affinity
from adaedge.runtime import Credentials, rpc
from adaedge.runtime.credentials import NAME

_log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.5
"""So often it is asked which replicas there are; at once where one was lost."""
CONNECT_S = 2.0
_FIRST_S = 5.0
_OPTIONS = [
    ("grpc.ssl_target_name_override", NAME),
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.enable_retries", 0),  # a payload is sent again by the ingress, to another replica
    ("grpc.use_local_subchannel_pool", 1),
]


@final
class Way:
    """A connection to one replica.

    Args:
        address: ``HOST:PORT``.
        credentials: its certificate, and the token that only the ingress shows.
        max_bytes: largest message, either way.
    """

    def __init__(self, address: str, credentials: Credentials, max_bytes: int) -> None:
        sizes = [("grpc.max_receive_message_length", max_bytes), ("grpc.max_send_message_length", max_bytes)]
        trusted = grpc.ssl_channel_credentials(credentials.certificate)
        self._channel = grpc.secure_channel(address, trusted, [*_OPTIONS, *sizes])
        self._infer: Any = self._channel.unary_unary(rpc.path(rpc.INFER), None, None)
        self._token = (rpc.AUTHORIZATION, rpc.bearer(credentials.token))

    def connect(self) -> bool:
        """Whether it can be reached, within `CONNECT_S`."""
        try:
            grpc.channel_ready_future(self._channel).result(CONNECT_S)
        except grpc.FutureTimeoutError:
            return False
        return True

    def infer(self, payload: bytes, left_s: float, terminal: str) -> bytes:
        """A replica's answer, as it sent it.

        Raises:
            grpc.RpcError: with the replica's status; ``UNAVAILABLE`` or ``CANCELLED`` where it is gone.
        """
        reply: bytes = self._infer(payload, timeout=left_s, metadata=(self._token, (rpc.TERMINAL, terminal)))
        return reply

    def close(self) -> None:
        """Give the connection back."""
        self._channel.close()


@final
class Ways:
    """Connections to all replicas; a thread of its own looks which there are.

    Args:
        addresses: asks which replicas there are; what it raises is logged, and those of before stay.
        connect: makes a connection to an address.
    """

    def __init__(self, addresses: Callable[[], Iterable[str]], connect: Callable[[str], Way]) -> None:
        self.affinity = Affinity()
        self._addresses, self._connect = addresses, connect
        self._open: dict[str, Way] = {}
        self._look_now, self._looked, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="adaedge-replicas", daemon=True)

    def start(self) -> None:
        """Look which there are, from now on, in a thread: Ray may not be asked in its own loop. Waits for the first."""
        self._thread.start()
        self._looked.wait(_FIRST_S)

    def __getitem__(self, address: str) -> Way | None:
        """The connection to a replica that there was; ``None`` where it has been lost meanwhile."""
        return self._open.get(address)

    def lost(self, address: str) -> None:
        """A call found that it is gone; what it held is gone too."""
        if address in self._open:
            _log.warning("the replica at %s is gone: its streams go elsewhere, each with a refresh", address)
        self._retire([address])
        self._look_now.set()

    def look(self) -> None:
        """See which replicas there are: connect to new ones, leave those that are gone."""
        found = {*self._addresses()}
        for address in found - {*self._open}:
            way = self._connect(address)
            if way.connect():  # one that cannot be reached would keep payloads until their deadline
                self._open[address] = way
                self.affinity.join(address)
            else:
                way.close()
        self._retire({*self._open} - found)

    def _retire(self, addresses: Collection[str]) -> None:
        """No new payloads for these; calls that run are finished, for a replica that is taken down drains."""
        for address in addresses:
            self.affinity.leave(address)
            way = self._open.pop(address, None)
            if way is not None:
                threading.Timer(CONNECT_S, way.close).start()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except Exception as error:  # whatever the cluster raises: the replicas of before still answer
                _log.warning("cannot see which replicas there are: %s", error)
            self._looked.set()
            self._look_now.wait(LOOK_EVERY_S)
            self._look_now.clear()

    def close(self) -> None:
        """Look no more, and give the connections back."""
        self._stopped.set()
        self._look_now.set()
        if self._thread.ident is not None:
            self._thread.join()
        for address in [*self._open]:
            self.affinity.leave(address)
            self._open.pop(address).close()
