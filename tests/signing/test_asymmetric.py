"""Key pairs: every form of key, and answers checked with the library itself."""

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from tests.signing.keys import key_for
from webhookctl.errors import SignatureError
from webhookctl.model import Request, Secret, VerdictKind
from webhookctl.signing import asymmetric, load, sign, sign_request, verify

BODY = '{"id":"evt_1","type":"demo.created","data":{"n":1,"name":"café"}}'.encode()
NOW_S = 1_700_000_000.0
SEED = bytes(range(32))
ED = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
EC = ec.derive_private_key(7, ec.SECP256R1())
RSA = serialization.load_pem_private_key(key_for("fireblocks").secret.encode(), None)
assert isinstance(RSA, rsa.RSAPrivateKey)
NONE = serialization.NoEncryption()
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def integer(number: int) -> str:
    return url64(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def pem(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, NONE)


def certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sample.example.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    made = builder.not_valid_after(datetime(2036, 1, 1, tzinfo=UTC)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


ED_PUBLIC = ED.public_key().public_bytes_raw()
EC_NUMBERS = EC.public_key().public_numbers()
RSA_NUMBERS = RSA.public_key().public_numbers()
JWK_ED = {"kty": "OKP", "crv": "Ed25519", "x": url64(ED_PUBLIC)}
JWK_EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": url64(EC_NUMBERS.x.to_bytes(32)),
    "y": url64(EC_NUMBERS.y.to_bytes(32)),
}
JWK_RSA = {"kty": "RSA", "e": integer(RSA_NUMBERS.e), "n": integer(RSA_NUMBERS.n)}

PUBLIC = {
    "ed25519": [
        ED_PUBLIC.hex().encode(),
        base64.b64encode(ED_PUBLIC),
        url64(ED_PUBLIC).encode(),
        ED.public_key().public_bytes(serialization.Encoding.PEM, SPKI),
        base64.b64encode(ED.public_key().public_bytes(serialization.Encoding.DER, SPKI)),
        json.dumps(JWK_ED).encode(),
        json.dumps({"keys": [JWK_EC, JWK_RSA, JWK_ED]}).encode(),
    ],
    "ecdsa-p256-sha256": [
        EC.public_key().public_bytes(serialization.Encoding.PEM, SPKI),
        b"\n" + base64.encodebytes(EC.public_key().public_bytes(serialization.Encoding.DER, SPKI)),
        json.dumps(JWK_EC).encode(),
    ],
    "rsa-sha256": [
        RSA.public_key().public_bytes(serialization.Encoding.PEM, SPKI),
        RSA.public_key().public_bytes(serialization.Encoding.PEM, SPKI).replace(b"\n", b"\\n"),
        certificate(RSA),
        json.dumps(JWK_RSA).encode(),
    ],
}
PRIVATE = {
    "ed25519": [SEED.hex().encode(), base64.b64encode(SEED), base64.b64encode(SEED + ED_PUBLIC), pem(ED)],
    "ecdsa-p256-sha256": [
        pem(EC),
        base64.b64encode(
            EC.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, NONE)
        ),
    ],
    "rsa-sha256": [
        pem(RSA),
        RSA.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, NONE),
    ],
}


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_every_form_of_private_key_signs_for_every_form_of_public_key(algorithm: str) -> None:
    for private in PRIVATE[algorithm]:
        signature = asymmetric.make_signature(algorithm, private, BODY)
        for key in (*PUBLIC[algorithm], *PRIVATE[algorithm]):
            assert asymmetric.is_signature(algorithm, key, signature, BODY)
            assert not asymmetric.is_signature(algorithm, key, signature, BODY + b"!")


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_key_of_another_kind_neither_signs_nor_proves(algorithm: str) -> None:
    for other in PUBLIC.keys() - {algorithm}:
        signature = asymmetric.make_signature(other, PRIVATE[other][0], BODY)
        assert not asymmetric.is_signature(algorithm, PUBLIC[other][0], signature, BODY)
        with pytest.raises(ValueError, match="no private key"):
            asymmetric.make_signature(algorithm, PRIVATE[other][0], BODY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "topsecret_key",
        "00",
        "-----BEGIN",
        "-----BEGIN PRIVATE KEY-----",
        "{}",
        "{",
        '{"keys":1}',
        "[" * 9999,
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="no key in a known form") as caught:
        asymmetric.load_keys(text.encode())
    assert caught.value.__suppress_context__


def test_a_public_key_alone_does_not_sign() -> None:
    with pytest.raises(ValueError, match="no private key for ed25519"):
        asymmetric.make_signature("ed25519", PUBLIC["ed25519"][3], BODY)


def test_ecdsa_signatures_of_tokens_are_two_numbers() -> None:
    signature = asymmetric.make_signature("ecdsa-p256-sha256", pem(EC), BODY)
    raw = asymmetric.to_raw_ecdsa(signature)
    assert len(raw) == 64
    assert asymmetric.from_raw_ecdsa(raw) == signature
    with pytest.raises(ValueError, match="32 bytes"):
        asymmetric.from_raw_ecdsa(raw[:-1])


def test_discords_known_answer() -> None:
    headers = sign(load("discord"), Secret(SEED.hex()), body=BODY, timestamp_s=NOW_S, message_id="m")
    expected = (
        b"a6df09f2672fb6867bb6833196dc45b70db60d45def1a0e0a6a8374e9a477c70"
        b"1605b6a29048fdb2b5f041b5fbbffbc16b933a725eee7adba5eff0888e1cca00"
    )
    assert headers == ((b"X-Signature-Timestamp", b"1700000000"), (b"X-Signature-Ed25519", expected))


def test_sendgrids_known_answer_is_accepted() -> None:
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5MdpeoI90WL8SZ1ImpM+Wb9D5Mds2nEalg2RnA/d0Y0Owdhz92m2oupjHrWMUz1UsyfFilUQu1"
        "3NZSBBT0XbiA=="
    )
    signature = (
        b"MEQCIB59EO84EcJI5wlt6M4/C3hNXb33VFCNvLg4djzcl80yAiB9aJP7iKQtI9iFJW2MixA5lH0YF3bmG0HVkMyVY6cXPw=="
    )
    headers = (
        (b"X-Twilio-Email-Event-Webhook-Timestamp", b"1700000000"),
        (b"X-Twilio-Email-Event-Webhook-Signature", signature),
    )
    request = Request("POST", "/", headers, BODY)
    assert verify(load("sendgrid"), [Secret(key)], request, now_s=NOW_S).is_ok


def test_a_signature_in_another_form_is_malformed() -> None:
    headers = ((b"X-Signature-Timestamp", b"1700000000"), (b"X-Signature-Ed25519", b"not hex"))
    verdict = verify(
        load("discord"), [Secret(ED_PUBLIC.hex())], Request("POST", "/", headers, BODY), now_s=NOW_S
    )
    assert (verdict.kind, verdict.reason) == (VerdictKind.MALFORMED, "the signature is not ed25519 in hex")


@pytest.mark.parametrize("provider", ["discord", "plaid", "wix"])
def test_a_secret_that_is_no_key_is_told(provider: str) -> None:
    key = key_for(provider)
    signed = sign_request(load(provider), Secret(key.secret), body=b"{}", timestamp_s=NOW_S, message_id="m")
    request = Request("POST", "/", signed.headers, signed.body)
    verdict = verify(load(provider), [Secret("topsecret_key")], request, now_s=NOW_S)
    assert verdict.kind is VerdictKind.WRONG_SECRET
    assert (
        verdict.reason
        == f"the secret is not in the form of {load(provider).name}: {load(provider).secret_form}"
    )


@pytest.mark.parametrize(
    ("provider", "other"), [("fireblocks", "fireblocks"), ("plaid", "plaid"), ("plaid", "gong")]
)
def test_a_public_key_and_a_key_of_another_kind_do_not_sign(provider: str, other: str) -> None:
    key = key_for(other)
    text = key.public if provider == other else key.secret
    with pytest.raises(SignatureError) as caught:
        sign(load(provider), Secret(text, "env:SAMPLE"), body=b"{}", timestamp_s=NOW_S, message_id="m")
    assert caught.value.code == "secret-malformed"
    assert "env:SAMPLE" in caught.value.message
    assert "private key" in caught.value.hint
