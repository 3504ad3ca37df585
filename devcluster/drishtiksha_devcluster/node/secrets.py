"""Reads the secrets that a pod's environment names. Nothing is kept: a secret lives as long as its pod starts."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from .client import ApiError, ApiUnreachable, KubeClient
from .launch import ConfigError


async def read_secrets(client: KubeClient, namespace: str, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Secret name → key → value; one that does not exist is left out.

    Raises ConfigError when the API server refuses or is away; its text has no value of a secret in it.
    """
    secrets = {}
    for name in sorted(names):
        try:
            body = await client.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except ApiError as error:
            if error.status == 404:
                continue
            raise ConfigError(f"cannot read the secret {namespace}/{name}: {error.message}") from error
        except ApiUnreachable as error:
            raise ConfigError(f"cannot read the secret {namespace}/{name} now: {error}") from error
        secrets[name] = {
            key: base64.b64decode(value).decode(errors="replace") for key, value in (body.get("data") or {}).items()
        }
    return secrets
