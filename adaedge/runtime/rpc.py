"""The calls between terminal and edge server, byte by byte.

May import: ``payload``. gRPC carries them under ``/adaedge.Edge/``; requests and replies are plain bytes, no protobuf.

    Hello   request and reply: UTF-8 JSON {"wire": version of the payload's format, "bundle": SHA-256 in hexadecimal}.
            Refused with FAILED_PRECONDITION where the two ends differ.
    Infer   request: a payload (``payload/wire.py``) of kind features; reply: one of kind answer. Refused with ABORTED
            where it builds upon a payload that the edge server does not hold: a refresh is welcome. Refused with
            RESOURCE_EXHAUSTED where there is no room: the answer would be late, or the terminal sends too much.
    Probe   request: any bytes, to see how long they take; reply: their number, uint32 little-endian.
    Label   where the edge server teaches. Request: a payload at ``input`` and the reply as of Infer; the frame and the
            full network's answer are kept to teach a student by.
    Update  where it teaches. Request: what the terminal holds (``taught/held_weights.py``); reply: an update
            (``taught/update.py``) upon that, or no byte where there is none now.

Every call bears the metadata ``authorization: Bearer TOKEN``. One that an ingress passes on bears the ingress's own
token, and ``adaedge-terminal: NAME``, the terminal that the ingress knows by the token which it was shown.
"""

from __future__ import annotations

import json
import struct

from adaedge.errors import PayloadError
from adaedge.payload import wire

SERVICE = "adaedge.Edge"
HELLO = "Hello"
INFER = "Infer"
PROBE = "Probe"
LABEL = "Label"
UPDATE = "Update"
AUTHORIZATION = "authorization"
TERMINAL = "adaedge-terminal"
STALE = "ABORTED"  # the name of a status of gRPC, as the next one
OVERLOAD = "RESOURCE_EXHAUSTED"  # gRPC itself says it of too many calls at once
PROBE_REPLY = struct.Struct("<I")


def path(method: str) -> str:
    """The gRPC path of a method."""
    return f"/{SERVICE}/{method}"


def bearer(token: str) -> str:
    """The value of the authorization metadata."""
    return f"Bearer {token}"


def hello(bundle: str) -> bytes:
    """The hello message, which both ends send.

    Example:
        >>> hello("ab" * 32)[:23]
        b'{"wire": 3, "bundle": "'
    """
    return json.dumps({"wire": wire.VERSION, "bundle": bundle}).encode()


def mismatch(request: bytes, bundle: str) -> str:
    """Why the end that sent ``request`` cannot work with this ``bundle``; empty where it can.

    Raises:
        PayloadError: if ``request`` is not a hello.

    Example:
        >>> mismatch(hello("ab" * 32), "cd" * 32)
        'the terminal has bundle abababababab, the edge server cdcdcdcdcdcd. Copy the same bundle to both machines.'
    """
    try:
        said = json.loads(request)
        version, other = said["wire"], str(said["bundle"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PayloadError(f"this is not a hello of adaedge: {request[:40]!r}") from error
    if version != wire.VERSION:
        return (
            f"the terminal speaks wire format {version!s:.12}, the edge server {wire.VERSION}."
            " Install the same version of adaedge on both machines."
        )
    if other != bundle:
        return (
            f"the terminal has bundle {other[:12]}, the edge server {bundle[:12]}."
            " Copy the same bundle to both machines."
        )
    return ""
