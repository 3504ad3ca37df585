"""Signing media in a test: an authority of our own, a signer under it, and files with a C2PA manifest."""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip


@dataclass(frozen=True)
class Authority:
    """Root certificate (PEM), and a signer's chain (PEM) and key (PEM)."""

    root: str
    chain: str
    key: str


@cache
def authority(name: str = "Test Authority") -> Authority:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, leaf_name = _name(name, name), _name("Test Signer", "Test Press")
    blank = x509.CertificateBuilder().not_valid_before(now - day).not_valid_after(now + 30 * day)
    root = (
        blank.subject_name(root_name).issuer_name(root_name).public_key(root_key.public_key()).serial_number(1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )  # fmt: skip
    leaf = (
        blank.subject_name(leaf_name).issuer_name(root_name).public_key(leaf_key.public_key()).serial_number(2)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )  # fmt: skip
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Authority(_pem(root), _pem(leaf) + _pem(root), key.decode())


def picture(kind: str = "JPEG", seed: int = 0, **options: Any) -> bytes:
    """A small encoded picture."""
    pixels = np.random.default_rng(seed).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def sign(
    data: bytes,
    source_type: str | None = "trainedAlgorithmicMedia",
    mimetype: str = "image/jpeg",
    action: str = "c2pa.created",
    parent: bytes | None = None,
    remote_url: str | None = None,
) -> bytes:
    """The file with a manifest whose first action has this source type; `parent` is the file it was opened from."""
    told: dict[str, Any] = {"action": action}
    if source_type is not None:
        told["digitalSourceType"] = IPTC + source_type
    actions = [told]
    if parent is None and action != "c2pa.created":
        actions.insert(0, {"action": "c2pa.created", "digitalSourceType": IPTC + "digitalCapture"})
    definition: dict[str, Any] = {
        "claim_generator_info": [{"name": "test press", "version": "1"}],
        "assertions": [] if parent else [{"label": "c2pa.actions", "data": {"actions": actions}}],
    }
    settings: dict[str, Any] = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}
    if parent:
        settings["builder"]["intent"] = "edit"
    builder = c2pa.Builder(definition, context=c2pa.Context.from_dict(settings))
    if parent:
        ingredient = {"title": "parent", "relationship": "parentOf"}
        builder.add_ingredient(ingredient, mimetype, io.BytesIO(parent))
    if remote_url is not None:
        builder.set_no_embed()
        builder.set_remote_url(remote_url)
    ours = authority()
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", ours.chain.encode(), ours.key.encode(), None))
    out = io.BytesIO()
    builder.sign(signer, mimetype, io.BytesIO(data), out)
    return out.getvalue()


def flipped(data: bytes, place: int) -> bytes:
    """The file with one bit changed."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def _name(common: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
        ]
    )


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in allowed for use in _USES})


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
