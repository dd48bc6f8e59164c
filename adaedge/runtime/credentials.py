"""Credentials: the edge server's self-signed certificate, its private key, and the token that terminals show.

May import: ``errors``. Nothing here is guessed: a terminal trusts exactly the certificate file that it was given.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from adaedge.errors import LinkError

# Imported by what makes or reads a certificate: it takes 35 to 50 ms, a tenth of a terminal's start.
if TYPE_CHECKING:
    from cryptography import x509

CERTIFICATE = "certificate.pem"
KEY = "key.pem"
TOKEN = "token"
# Every certificate that adaedge makes bears this name, so that a terminal may reach the edge server by any address.
NAME = "adaedge"
VALID_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Credentials:
    """The edge server's certificate and key, and the token that it asks of a terminal.

    Attributes:
        certificate: PEM. Copy it to the terminal.
        key: PEM of the private key. It never leaves the edge server.
        token: the secret that every call must bear. Copy it to the terminal.

    Example:
        >>> credentials = Credentials.create()
        >>> credentials.fingerprint.count(":")
        31
        >>> credentials.token in repr(credentials)
        False
    """

    certificate: bytes
    key: bytes = field(repr=False)
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        check_token(self.token)

    @classmethod
    def create(cls, names: Sequence[str] = ()) -> Credentials:
        """A new key (EC P-256), a certificate for it, valid for ten years, and a new token.

        Args:
            names: host names or addresses to write into the certificate, beside this machine's own.
        """
        import secrets

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))  # the terminal's clock may be behind
            .not_valid_after(now + timedelta(days=VALID_DAYS))
            .add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(certificate.public_bytes(serialization.Encoding.PEM), secret, secrets.token_urlsafe(32))

    @classmethod
    def stored(cls, folder: str | Path, names: Sequence[str] = ()) -> Credentials:
        """The credentials in ``folder``; made there on first use, key and token readable by the owner only.

        Raises:
            LinkError: if the folder holds only some of the three files, cannot be read or written, or holds a
                certificate that has expired.
        """
        folder = Path(folder)
        paths = [folder / name for name in (CERTIFICATE, KEY, TOKEN)]
        present = [path for path in paths if path.exists()]
        try:
            if not present:
                _write(folder, cls.create(names))
            elif len(present) < len(paths):
                missing = ", ".join(path.name for path in paths if path not in present)
                raise LinkError(f"{folder} lacks {missing}. Restore it, or delete the folder to make new credentials.")
            _warn_if_exposed(paths[1:])
            certificate, key, token = (path.read_bytes() for path in paths)
        except OSError as error:
            raise LinkError(f"cannot read or write the credentials in {folder}: {error}") from error
        _refuse_expired(certificate, folder)
        return cls(certificate, key, token.decode("utf-8", "replace").strip())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as ``AB:CD:…``, to compare by eye on both machines."""
        from cryptography.hazmat.primitives import hashes

        return parse(self.certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def check_token(token: str) -> None:
    """Refuse a token that is none: an empty one would let everybody in.

    Raises:
        LinkError: if it is empty or not printable ASCII, which a gRPC header could not carry; or names a file.
    """
    if token and Path(token).is_file():
        raise LinkError(f"a token is the text itself, and {token} is a file. Give Path({token!r}).read_text().")
    if not token or not token.isascii() or not token.isprintable():
        raise LinkError(
            f"a token is printable ASCII and not empty; this one has {len(token)} characters. Copy the edge server's"
            f" file `{TOKEN}` again, or delete the folder to make new credentials."
        )


def default_folder() -> Path:
    """Where the edge server keeps its credentials by default: ``adaedge`` in the user's configuration."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "adaedge"


def check_certificate(certificate: bytes) -> None:
    """Refuse what holds no certificate in PEM, by OpenSSL, which is at hand where ``cryptography`` is not imported yet.

    Raises:
        LinkError: if there is none.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise _not_one(certificate, error) from error


def parse(certificate: bytes) -> x509.Certificate:
    """The first certificate of a PEM.

    Raises:
        LinkError: if there is none.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise _not_one(certificate, error) from error


def _not_one(certificate: bytes, error: Exception) -> LinkError:
    return LinkError(
        f"this is not a certificate in PEM: {certificate[:30]!r}… ({error})."
        f" Copy the edge server's {CERTIFICATE}; `adaedge serve` prints where it is."
    )


def is_own(certificate: bytes) -> bool:
    """Whether adaedge made the certificate, so that it stands for one edge server under whatever address."""
    from cryptography import x509

    try:
        extension = parse(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return False
    return NAME in extension.value.get_values_for_type(x509.DNSName)


def _alternative_names(names: Sequence[str]) -> list[x509.GeneralName]:
    everything = dict.fromkeys([NAME, "localhost", "127.0.0.1", "::1", socket.gethostname(), *names])
    return [_general_name(name) for name in everything if name.isascii() and name]


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(folder: Path, credentials: Credentials) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_new(folder / KEY, credentials.key, 0o600)
    _write_new(folder / TOKEN, credentials.token.encode() + b"\n", 0o600)
    _write_new(folder / CERTIFICATE, credentials.certificate, 0o644)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    # The mode is set as the file is made: there is no moment at which others can read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _warn_if_exposed(paths: Sequence[Path]) -> None:
    for path in paths:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            warnings.warn(f"{path} can be read by other users: run `chmod 600 {path}`", UserWarning, stacklevel=3)


def _refuse_expired(certificate: bytes, folder: Path) -> None:
    end = parse(certificate).not_valid_after_utc
    if end < datetime.now(UTC):
        raise LinkError(
            f"the certificate in {folder} expired on {end:%Y-%m-%d}. Delete the folder, start the edge server to"
            f" make a new one, and copy {CERTIFICATE} and {TOKEN} to the terminals."
        )
