"""Who is asked, found from the settings of the environment: what the api, the door and the operator are told, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from .. import kubeconfig, settings
from ..database.session import Database
from ..domain.errors import BadSettings
from ..kube import Kube
from ..objects.providers import open_objects
from .audit import Places
from .limits import Limits, limits

STATEMENT_TIMEOUT = 120.0
"""Seconds: counting all events of a large platform takes longer than a request may."""


@asynccontextmanager
async def open_places(
    without: Collection[str] = (), *, grace: float | None = None
) -> AsyncIterator[tuple[Places, Limits]]:
    """Clients for those who are asked, and the limits of this platform. `without`: kubernetes, objects are left out.

    Raises BadSettings.
    """
    operator, retention = settings.load(settings.Operator), settings.load(settings.Retention)
    allowed = limits(operator, retention, weighted=_weighted(operator.config), grace=grace)
    url = settings.load(settings.Database).url.get_secret_value()
    async with AsyncExitStack() as stack:
        kube, namespace = None, settings.load(settings.Kubernetes).namespace
        if "kubernetes" not in without:
            kube = await stack.enter_async_context(Kube(kubeconfig.connect(), agent="drishtiksha-verify"))
        objects = None if "objects" in without else open_objects()
        database = Database(url, pool_size=1, statement_timeout=STATEMENT_TIMEOUT, application="verify")
        stack.push_async_callback(database.close)
        yield Places(database, kube, namespace, objects), allowed


def _weighted(config: Path | None) -> bool:
    """Whether the operator's file gives any model a weight in verdicts."""
    if config is None:
        return False
    try:
        said: Any = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BadSettings(f"DRISHTIKSHA_CONFIG: {config} cannot be read ({error})") from error
    models = said.get("models") if isinstance(said, dict) else None
    if not isinstance(models, dict):
        return False
    profiles = [models.get("defaults"), *(models.get("overrides") or [])]
    return any(isinstance(p, dict) and p.get("weight", 1) != 1 for p in profiles)
