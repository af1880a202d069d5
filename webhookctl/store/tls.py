"""A self-signed certificate for `listen --tls auto`, kept in the project's state folder and used again.

Knows files and cryptography; must not know sockets.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from webhookctl.errors import UsageError

_VALID_DAYS = 397  # what browsers accept of a server certificate
_RENEW_BEFORE = timedelta(days=7)


def certificate_path(folder: Path) -> Path:
    """Where `local_certificate` keeps the certificate."""
    return folder / "localhost.pem"


def local_certificate(folder: Path, *, now_s: float) -> tuple[Path, Path]:
    """Paths of a certificate for localhost, 127.0.0.1 and ::1 and of its key, made when missing or about to expire.

    The certificate is its own authority: a sender trusts it by its file. Raises UsageError `tls-unwritable`.
    """
    certificate, key = certificate_path(folder), folder / "localhost.key"
    now = datetime.fromtimestamp(now_s, UTC)
    if certificate.exists() and key.exists() and _is_usable(certificate, key, now):
        return certificate, key
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_pem, certificate_pem = _make(now)
        _write(key, key_pem)
        _write(certificate, certificate_pem)
    except OSError as error:
        raise UsageError(
            "tls-unwritable",
            f"no certificate can be written to {folder}: {error}",
            "give your own: --tls CERT,KEY",
        ) from error
    return certificate, key


def _is_usable(certificate: Path, key: Path, now: datetime) -> bool:
    """Whether both can be read, belong together, and last for a while."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with suppress(OSError, ValueError, TypeError):
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        fits = load_pem_private_key(key.read_bytes(), None).public_key() == known.public_key()
        return fits and known.not_valid_after_utc - now > _RENEW_BEFORE
    return False


def _make(now: datetime) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhookctl on localhost")])
    addresses = [x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "::1")]
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, encipher_only=False, decipher_only=False, **usage
            ),
            critical=True,
        )
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


def _write(path: Path, data: bytes) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(data)
