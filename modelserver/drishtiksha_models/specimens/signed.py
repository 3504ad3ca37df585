"""Pictures with a signed C2PA manifest, from a certificate authority that is made on the spot and known to nobody.

The keys live in this process only; nothing of them is written. Source: C2PA specification 2.x (signing), RFC 5280.
"""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DAYS = 3650
"""How long the certificates hold; an expired one would count as unknown."""
_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Authority:
    """Root certificate (PEM), a signer's chain (PEM) and key (PEM)."""

    root: str
    chain: str
    key: str


@cache
def authority() -> Authority:
    """This process's own authority and one signer under it, P-256."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Drishtiksha specimens")
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common), organisation])

    def usage(*allowed: str) -> x509.KeyUsage:
        return x509.KeyUsage(**{use: use in allowed for use in _USES})

    def pem(certificate: x509.Certificate) -> str:
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = name("Specimen authority, trusted by nobody")
    blank = x509.CertificateBuilder().not_valid_before(now - day).not_valid_after(now + DAYS * day)
    root = (
        blank.subject_name(root_name)
        .issuer_name(root_name)
        .public_key(root_key.public_key())
        .serial_number(1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        blank.subject_name(name("Specimen signer"))
        .issuer_name(root_name)
        .public_key(leaf_key.public_key())
        .serial_number(2)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Authority(pem(root), pem(leaf) + pem(root), key.decode())


def sign(jpeg: bytes, source_type: str = "trainedAlgorithmicMedia") -> bytes:
    """The JPEG with a manifest that says how it was created (a source type of the IPTC)."""
    import c2pa

    told = {"action": "c2pa.created", "digitalSourceType": IPTC + source_type}
    definition: dict[str, Any] = {
        "claim_generator_info": [{"name": "drishtiksha specimens", "version": "1"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [told]}}],
    }
    settings = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}
    ours = authority()
    builder = c2pa.Builder(definition, context=c2pa.Context.from_dict(settings))
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", ours.chain.encode(), ours.key.encode(), None))
    out = io.BytesIO()
    builder.sign(signer, "image/jpeg", io.BytesIO(jpeg), out)
    return out.getvalue()


def moved_to(signed: bytes, other: bytes) -> bytes:
    """Another JPEG with the manifest of the signed one: what is left when a picture is edited and its manifest kept."""
    head = other[4 + int.from_bytes(other[4:6], "big") :] if other[2:4] == b"\xff\xe0" else other[2:]
    start = other[: len(other) - len(head)]
    return start + b"".join(_segments(signed, 0xEB)) + head


def _segments(jpeg: bytes, marker: int) -> list[bytes]:
    """The segments of one kind before the picture's data, with their markers."""
    place, found = 2, []
    while jpeg[place] == 0xFF and jpeg[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
        if jpeg[place + 1] == marker:
            found.append(jpeg[place:end])
        place = end
    return found
