"""Where the Kubernetes API is and who we are there: KUBECONFIG, the pod's service account, or ~/.kube/config.

Read by `kube.py` (our client) and by the operator's Kopf login, so that both speak as the same identity.
"""

from __future__ import annotations

import base64
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .domain.errors import BadSettings

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its own identity."""


@dataclass(frozen=True)
class Connection:
    """One way to reach an API server. PEM texts are held as text; `token_file` is read again and again (it rotates)."""

    server: str
    namespace: str | None = None
    ca_data: str | None = None
    insecure: bool = False
    token: str | None = None
    token_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def bearer(self) -> str | None:
        """The token to send now, read again from its file where it lives in one."""
        if self.token_file is not None:
            return self.token_file.read_text(encoding="utf-8").strip() or None
        return self.token

    def ssl_context(self) -> ssl.SSLContext | None:
        """What TLS has to check; None for plain http."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cadata=self.ca_data)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def connect() -> Connection:
    """The connection of this process: KUBECONFIG if set, else the pod's service account, else ~/.kube/config.

    Raises BadSettings with the cure when there is none, or when the file cannot be used.
    """
    named = os.environ.get("KUBECONFIG", "").strip()
    if named:
        return from_file(Path(named.split(os.pathsep)[0]).expanduser())
    if (SERVICE_ACCOUNT / "token").exists():
        return from_service_account(SERVICE_ACCOUNT)
    usual = Path("~/.kube/config").expanduser()
    if usual.exists():
        return from_file(usual)
    raise BadSettings("No Kubernetes API is known: set KUBECONFIG to a kubeconfig file, or run inside a pod.")


def from_service_account(folder: Path) -> Connection:
    """The identity that Kubernetes mounts into a pod."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    namespace = folder / "namespace"
    ca = folder / "ca.crt"
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace.read_text(encoding="utf-8").strip() if namespace.exists() else None,
        ca_data=ca.read_text(encoding="utf-8") if ca.exists() else None,
        token_file=folder / "token",
    )


def from_file(path: Path) -> Connection:
    """The current context of a kubeconfig. Exec plugins are not run: use a token, a token file or a certificate file."""
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        name = config["current-context"]
        context = _named(config, "contexts", "context", name)
        cluster = _named(config, "clusters", "cluster", context["cluster"])
        user = _named(config, "users", "user", context["user"])
        server = str(cluster["server"]).rstrip("/")
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BadSettings(
            f"KUBECONFIG: {path} is not a usable kubeconfig ({type(error).__name__}: {error})."
        ) from error
    if "exec" in user or "auth-provider" in user:
        raise BadSettings(f"KUBECONFIG: the user of {path} logs in by a plugin; give it a token or a token file.")
    if "client-certificate-data" in user or "client-key-data" in user:
        raise BadSettings(f"KUBECONFIG: {path} holds its client certificate inline; name files, or use a token.")
    return Connection(
        server=server,
        namespace=context.get("namespace"),
        ca_data=_ca(path, cluster),
        insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
        token=user.get("token"),
        token_file=_beside(path, user.get("tokenFile")),
        certificate_file=_beside(path, user.get("client-certificate")),
        key_file=_beside(path, user.get("client-key")),
    )


def _named(config: dict[str, Any], plural: str, singular: str, name: str) -> dict[str, Any]:
    for item in config[plural]:
        if item["name"] == name:
            return dict(item.get(singular) or {})
    raise KeyError(f"{singular} {name}")


def _beside(path: Path, name: str | None) -> Path | None:
    """Relative names in a kubeconfig count from its own folder."""
    return (path.parent / Path(name).expanduser()) if name else None


def _ca(path: Path, cluster: dict[str, Any]) -> str | None:
    if data := cluster.get("certificate-authority-data"):
        return base64.b64decode(data).decode("ascii")
    file = _beside(path, cluster.get("certificate-authority"))
    return file.read_text(encoding="ascii") if file else None
