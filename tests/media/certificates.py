"""Certificates and keys for C2PA, made on the spot: an authority, and a signer's certificate of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

P256 = ec.SECP256R1()


@dataclass(frozen=True)
class Signer:
    """A signer's key, and the chain of its certificate in PEM."""

    key: Any
    chain: str

    def pem(self, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> str:
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
        return str(self.key.private_bytes(Encoding.PEM, form, encryption).decode())

    def settings(self) -> dict[str, str]:
        """The environment of a worker that signs with it."""
        return {"C2PA_CERTIFICATE": self.chain, "C2PA_PRIVATE_KEY": self.pem()}


def signer(key: Any = None, valid_days: int = 30, purpose: Any = ExtendedKeyUsageOID.EMAIL_PROTECTION) -> Signer:
    """One with this key, or with a fresh one on P-256. Its certificate became valid two days ago."""
    key = key or ec.generate_private_key(P256)
    authority = ec.generate_private_key(P256)
    root = _certificate("A test authority", authority.public_key(), authority, valid_days=30)
    own = _certificate("A test signer", key.public_key(), authority, valid_days, purpose)
    return Signer(key, (own.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)).decode())


def _certificate(subject: str, key: Any, authority: Any, valid_days: int, purpose: Any = None) -> x509.Certificate:
    """The authority's own if it has no purpose."""
    is_authority, begin = purpose is None, datetime.now(UTC) - timedelta(days=2)
    usage = dict.fromkeys(
        "content_commitment key_encipherment data_encipherment key_agreement encipher_only decipher_only".split(), False
    )
    usage |= {"digital_signature": not is_authority, "key_cert_sign": is_authority, "crl_sign": is_authority}
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("A test authority"))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=valid_days))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    return builder.sign(authority, SHA256())


def _name(common: str) -> x509.Name:
    names = {NameOID.COMMON_NAME: common, NameOID.ORGANIZATION_NAME: "Tests"}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in names.items()])
