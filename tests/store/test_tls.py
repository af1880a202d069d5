"""The certificate of `listen --tls auto`: made once, used again, trusted by its file, renewed in time."""

import ssl
from pathlib import Path

import pytest

from webhookctl.errors import UsageError
from webhookctl.store.tls import local_certificate

NOW_S = 1_767_225_600.0
DAY_S = 86_400.0


def handshake(certificate: Path, key: Path, name: str, authority: Path) -> None:
    """A whole TLS handshake in memory; raises what the client thinks of the certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(authority))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=name)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    done = 0
    while done < 2:
        done = 0
        for side in (left, right):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_strict_client_that_has_the_file_trusts_it(name: str, tmp_path: Path) -> None:
    import time

    certificate, key = local_certificate(tmp_path, now_s=time.time())  # noqa: TID251  (the client has a clock)
    handshake(certificate, key, name, certificate)


def test_for_another_name_or_without_the_file_it_is_not_trusted(tmp_path: Path) -> None:
    import time

    certificate, key = local_certificate(tmp_path / "a", now_s=time.time())  # noqa: TID251  (the client has a clock)
    other, _ = local_certificate(tmp_path / "b", now_s=time.time())  # noqa: TID251
    for name, authority in (("example.com", certificate), ("localhost", other)):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(certificate, key, name, authority)


def test_it_is_made_once_and_used_again(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in local_certificate(tmp_path / "tls", now_s=NOW_S)]
    again = [path.read_bytes() for path in local_certificate(tmp_path / "tls", now_s=NOW_S + 300 * DAY_S)]
    assert first == again


def test_it_is_renewed_before_it_expires(tmp_path: Path) -> None:
    first = local_certificate(tmp_path, now_s=NOW_S)[0].read_bytes()
    assert local_certificate(tmp_path, now_s=NOW_S + 391 * DAY_S)[0].read_bytes() != first


@pytest.mark.parametrize("damage", ["certificate", "key", "no certificate", "no key", "another key"])
def test_a_pair_that_cannot_be_used_is_made_anew(damage: str, tmp_path: Path) -> None:
    certificate, key = local_certificate(tmp_path, now_s=NOW_S)
    if damage == "another key":
        key.write_bytes(local_certificate(tmp_path / "other", now_s=NOW_S)[1].read_bytes())
    elif damage.startswith("no"):
        (key if damage == "no key" else certificate).unlink()
    else:
        (key if damage == "key" else certificate).write_bytes(b"damaged")
    local_certificate(tmp_path, now_s=NOW_S)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


def test_the_files_are_for_their_owner_alone_and_no_link_is_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = tmp_path / "tls"
    folder.mkdir()
    (folder / "localhost.key").symlink_to(precious)
    for path in local_certificate(folder, now_s=NOW_S):
        assert path.stat().st_mode & 0o777 == 0o600
        assert not path.is_symlink()
    assert precious.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        local_certificate(tmp_path / "file" / "tls", now_s=NOW_S)
    assert caught.value.code == "tls-unwritable"
