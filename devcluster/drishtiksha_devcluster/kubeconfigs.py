"""One kubeconfig per identity of `pki.py`, under `<home>/kubeconfig/<name>.yaml`.

Each process of the platform gets its own, so that one machine proves the same rights as a cluster.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from . import pki

NAMESPACE = "drishtiksha"
"""Where the platform lives unless it is told otherwise; what kubectl looks at without `-n`."""


def admin(home: Path) -> Path:
    """The person's own kubeconfig: all rights."""
    return home / "kubeconfig" / "admin.yaml"


def write(folder: Path, trust: Path, server: str, namespace: str = NAMESPACE) -> None:
    """All kubeconfigs, fitted to the API server's address; a file that is right already is not touched."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority, token = pki.ca(trust), pki.tokens(trust)
    for identity in pki.IDENTITIES:
        body = yaml.safe_dump(kubeconfig(server, authority, identity.user, token[identity.user], namespace))
        path = folder / f"{identity.name}.yaml"
        if not path.exists() or path.read_text(encoding="utf-8") != body:
            part = path.with_suffix(".part")
            part.touch(mode=0o600)
            part.write_text(body, encoding="utf-8")
            part.replace(path)


def kubeconfig(server: str, ca: str, user: str, token: str, namespace: str) -> dict[str, Any]:
    """A kubeconfig of one context with everything inline, so that the file may be copied elsewhere."""
    name = "drishtiksha"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(ca.encode()).decode(),
                },
            }
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": namespace}}],
        "current-context": name,
    }
