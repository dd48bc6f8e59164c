import datetime
import os
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from adaedge.errors import LinkError
from adaedge.runtime import Credentials, credentials, default_folder


def test_they_are_made_on_first_use_and_found_again(tmp_path):
    first = Credentials.stored(tmp_path / "edge")
    assert Credentials.stored(tmp_path / "edge") == first
    assert len(first.token) >= 40


def test_key_and_token_are_readable_by_the_owner_only(tmp_path):
    Credentials.stored(tmp_path)
    for name in (credentials.KEY, credentials.TOKEN):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_key_that_others_can_read_is_told(tmp_path):
    Credentials.stored(tmp_path)
    (tmp_path / credentials.KEY).chmod(0o644)
    with pytest.warns(UserWarning, match=r"can be read by other users: run `chmod 600 .*key.pem`"):
        Credentials.stored(tmp_path)


def test_the_certificate_names_this_machine_and_what_was_asked():
    made = credentials.parse(Credentials.create(["edge.example", "10.0.0.7"]).certificate)
    assert isinstance(made.public_key(), ec.EllipticCurvePublicKey)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "edge.example"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"127.0.0.1", "10.0.0.7"} <= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    left = made.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert 3600 < left.days <= credentials.VALID_DAYS


def test_the_fingerprint_is_the_certificates_sha256():
    made = Credentials.create()
    assert made.fingerprint.replace(":", "").lower() == _digest(made.certificate)


def _digest(pem):
    import hashlib
    import ssl

    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()


def test_secrets_do_not_show():
    made = Credentials.create()
    assert made.token not in repr(made)
    assert "PRIVATE" not in repr(made)


def test_a_folder_with_a_missing_file_is_refused_and_left_alone(tmp_path):
    Credentials.stored(tmp_path)
    (tmp_path / credentials.KEY).unlink()
    with pytest.raises(LinkError, match=r"lacks key.pem. Restore it, or delete the folder"):
        Credentials.stored(tmp_path)
    assert not (tmp_path / credentials.KEY).exists()


def test_an_expired_certificate_is_refused_by_its_date(tmp_path, monkeypatch):
    monkeypatch.setattr(credentials, "VALID_DAYS", -0.5)
    with pytest.raises(LinkError, match=r"expired on \d{4}-\d\d-\d\d. Delete the folder"):
        Credentials.stored(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LinkError, match="cannot read or write the credentials"):
        Credentials.stored(tmp_path / "file")


def test_a_file_that_is_no_certificate_is_refused():
    with pytest.raises(LinkError, match=r"not a certificate in PEM.*Copy the edge server's certificate.pem"):
        credentials.parse(b"hello")


def test_the_default_folder_follows_the_users_configuration(monkeypatch, tmp_path):
    monkeypatch.setitem(os.environ, "XDG_CONFIG_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "adaedge"


@pytest.mark.parametrize("token", [b"", b"\n", "päss".encode(), b"\xff\xfe"])
def test_a_token_that_would_let_everybody_in_is_refused(tmp_path, token):
    Credentials.stored(tmp_path)
    (tmp_path / "token").write_bytes(token)
    with pytest.raises(LinkError, match=r"a token is printable ASCII and not empty"):
        Credentials.stored(tmp_path)
