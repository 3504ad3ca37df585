"""The trust of one platform: its own CA, the certificates it has signed, the service-account key, the bearer tokens.

All of it lives in `<home>/pki/`, is made once and only filled up later; `cluster.py` tells the Kubernetes programs
about it, and `kubeconfigs.py` hands each process its own identity. Nothing here is known outside this machine.
"""

from __future__ import annotations

import csv
import datetime
import io
import ipaddress
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=3650)
"""As long as anybody keeps a state folder; `down --data` is the rotation."""

NODES = ("cpu-0", "gpu-0")
"""The nodes of the one machine; each has a serving certificate for its logs endpoint and a token."""


@dataclass(frozen=True)
class Identity:
    """Who a kubeconfig speaks as: the user and groups that the API server sees."""

    name: str
    """Name of the kubeconfig file."""
    user: str
    groups: tuple[str, ...] = ()


IDENTITIES = (
    Identity("admin", "admin", ("system:masters",)),
    Identity("drishtiksha-api", "drishtiksha-api"),
    Identity("drishtiksha-operator", "drishtiksha-operator"),
    Identity("controller-manager", "system:kube-controller-manager"),
    Identity("scheduler", "system:kube-scheduler"),
    *(Identity(node, f"system:node:{node}", ("system:nodes",)) for node in NODES),
)
"""Everybody who has a token. The rights of the two drishtiksha users are charts/drishtiksha/files/rbac, the others'
come with Kubernetes."""

LOOPBACK = ("127.0.0.1", "localhost")


def prepare(folder: Path, identities: Iterable[Identity] = IDENTITIES, nodes: Iterable[str] = NODES) -> None:
    """Make what is missing in the folder, keep what is there. Files that a crash left half-made do not exist."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca_certificate, ca_key = _authority(folder)
    _issue(folder, "apiserver", ca_certificate, ca_key, [*LOOPBACK, "kubernetes.default.svc", "10.0.0.1"], server=True)
    _issue(folder, "etcd", ca_certificate, ca_key, LOOPBACK, server=True, client=True)
    _issue(folder, "etcd-client", ca_certificate, ca_key, (), client=True)
    _issue(folder, "kubelet-client", ca_certificate, ca_key, (), client=True)
    for node in nodes:
        _issue(folder, node, ca_certificate, ca_key, [*LOOPBACK, node], server=True)
    if not (folder / "service-account.key").exists():
        _write(folder / "service-account.key", _key_pem(ec.generate_private_key(ec.SECP256R1())))
    _fill_tokens(folder / "tokens.csv", identities)


def tokens(folder: Path) -> Mapping[str, str]:
    """The bearer token of each user, as the API server knows them."""
    with (folder / "tokens.csv").open(encoding="utf-8", newline="") as file:
        return {user: token for token, user, *_ in csv.reader(file)}


def ca(folder: Path) -> str:
    """The CA's certificate, PEM."""
    return (folder / "ca.crt").read_text(encoding="ascii")


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate, key = folder / "ca.crt", folder / "ca.key"
    if certificate.exists() and key.exists():
        return x509.load_pem_x509_certificate(certificate.read_bytes()), _load_key(key)
    own = ec.generate_private_key(ec.SECP256R1())
    name = _name("drishtiksha-devcluster")
    signed = (
        _builder(name, own)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .sign(own, hashes.SHA256())
    )
    # The key first: a certificate without its key would look finished.
    _write(key, _key_pem(own))
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM))
    return signed, own


def _issue(
    folder: Path,
    name: str,
    ca_certificate: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    hosts: Iterable[str],
    *,
    server: bool = False,
    client: bool = False,
) -> None:
    """`<name>.crt` and `<name>.key`, unless they are there and signed by this CA."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if certificate.exists() and key.exists():
        try:
            x509.load_pem_x509_certificate(certificate.read_bytes()).verify_directly_issued_by(ca_certificate)
            return
        except (ValueError, TypeError, InvalidSignature):
            certificate.unlink()
    own = ec.generate_private_key(ec.SECP256R1())
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
    builder = (
        _builder(_name(name), own)
        .issuer_name(ca_certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if names := [_general_name(host) for host in hosts]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(ca_key, hashes.SHA256())
    _write(key, _key_pem(own))
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour back: the clock of a virtual machine may step backwards after a resume.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """SEC1 ("EC PRIVATE KEY"), the form that every Kubernetes program reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic-curve key")
    return key


def _fill_tokens(path: Path, identities: Iterable[Identity]) -> None:
    """One line per user: token, user, uid, groups. Known users keep their token."""
    known = tokens(path.parent) if path.exists() else {}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for identity in identities:
        token = known.get(identity.user) or secrets.token_urlsafe(32)
        row = [token, identity.user, identity.user]
        writer.writerow([*row, ",".join(identity.groups)] if identity.groups else row)
    _write(path, text.getvalue().encode())


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
