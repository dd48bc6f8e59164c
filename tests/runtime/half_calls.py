"""A client that is none of ours: HTTP/2 by hand, over TLS, which begins calls and does not end them."""

from __future__ import annotations

import socket
import ssl

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, DATA, END_HEADERS, ACK = 1, 4, 0, 4, 1


def frame(kind, flags, stream, body=b""):
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def header(name, value):
    """A literal that is not to be remembered (RFC 7541, 6.2.2); shorter than 127 each."""
    return b"\x00" + b"".join(bytes([len(text)]) + text for text in (name.encode(), value.encode()))


def headers(path, token):
    told = {":method": "POST", ":scheme": "https", ":path": path, ":authority": "adaedge", "te": "trailers"}
    told |= {"content-type": "application/grpc"} | ({"authorization": f"Bearer {token}"} if token else {})
    return b"".join(header(name, value) for name, value in told.items())


def connected(address, certificate):
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=certificate.decode())
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection((host, int(port)), 5.0)
    return context.wrap_socket(raw)


class HalfCalls:
    """A connection that begins calls: their headers, and the first bytes of a body of 10,000."""

    def __init__(self, address, certificate):
        self._socket = connected(address, certificate)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self._next = 1
        self.begun = []

    def begin(self, path, token):
        self._socket.sendall(frame(HEADERS, END_HEADERS, self._next, headers(path, token)))
        self._socket.sendall(frame(DATA, 0, self._next, b"\x00" + (10_000).to_bytes(4, "big")))
        self.begun.append(self._next)
        self._next += 2

    def drip(self):
        """A byte of each body."""
        for stream in self.begun:
            self._socket.sendall(frame(DATA, 0, stream, b"\x00"))

    def close(self):
        self._socket.close()
