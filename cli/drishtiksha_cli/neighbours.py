"""The neighbours of a platform as `drishtiksha doctor` asks them: database, Redis, ML service, Kubernetes, api.

Each is asked what a process would ask it, with the same key, once and not for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .checks import Check

if TYPE_CHECKING:
    from drishtiksha_devcluster.plan import Addresses

PATIENCE = 5.0
"""Seconds for one answer."""


async def database(found: Addresses, _settings: dict[str, str]) -> Check:
    """Does PostgreSQL answer, and is its schema the one that this code knows?"""
    from drishtiksha.database import browse, migrate
    from drishtiksha.domain.errors import Unavailable

    try:
        revision, newest = await asyncio.to_thread(browse.revision, found.database_url), migrate.head()
    except Unavailable as error:
        return Check("database", "wrong", str(error), "drishtiksha logs postgres, or look at DATABASE_URL")
    except ValueError as error:
        return Check("database", "wrong", f"DATABASE_URL: {error}", "drishtiksha config check")
    if revision != newest:
        said = f"the schema is at {revision or 'no revision'}, not at {newest}"
        return Check("database", "wrong", said, "drishtiksha db migrate")
    return Check("database", "ok", f"answers, schema at {revision}")


async def redis(found: Addresses, _settings: dict[str, str]) -> Check:
    """Does Redis answer, and take our password?"""
    from drishtiksha.bus import Bus
    from drishtiksha.urls import redis_url

    try:
        bus = Bus(redis_url(found.redis_url))
    except ValueError as error:
        return Check("redis", "wrong", f"REDIS_URL: {error}", "drishtiksha config check")
    try:
        answers = await bus.ping()
    finally:
        await bus.close()
    if not answers:
        return Check(
            "redis",
            "wrong",
            "it does not answer, or refuses our password",
            "drishtiksha logs valkey, or look at REDIS_URL",
        )
    return Check("redis", "ok", "answers")


async def ml_service(found: Addresses, told: dict[str, str]) -> Check:
    """Does the ML service answer, with our key, and has it a model?"""
    status, body = await _get(f"{found.server_url}/stats", {"X-API-Key": told.get("SERVER_API_KEY", "")})
    cure = "drishtiksha logs modelserver, or look at SERVER_URL"
    if status in (401, 403):
        return Check(
            "ml service", "wrong", "it refuses our key", "give both the same SERVER_API_KEY, then restart them"
        )
    if status != 200:
        return Check(
            "ml service", "wrong", f"{found.server_url} {body if status is None else f'answers {status}'}", cure
        )
    models = body.get("models_info") or [] if isinstance(body, dict) else []
    loaded = sum(bool(one.get("loaded")) for one in models)
    if not loaded:
        return Check("ml service", "wrong", "it has no model loaded", "drishtiksha models; look at ACTIVE_MODELS")
    return Check("ml service", "ok", f"answers, {loaded} of {len(models)} models loaded")


async def kubernetes(found: Addresses, _settings: dict[str, str]) -> Check:
    """Does the kubeconfig open the API, is our resource there, is a node ready?"""
    from drishtiksha.kube import Kube, KubeError, KubeNotFound
    from drishtiksha.kubeconfig import from_file
    from drishtiksha.resources import MediaAnalyses

    try:
        async with Kube(from_file(found.kubeconfig), timeout=PATIENCE, tries=1, agent="drishtiksha-doctor") as kube:
            version = (await kube.get("/version")).get("gitVersion")
            nodes = await kube.list("/api/v1/nodes")
            await MediaAnalyses(kube, found.namespace).ping()
    except KubeNotFound:
        return Check("kubernetes", "wrong", "our resource is not installed", "drishtiksha up installs it")
    except KubeError as error:
        cure = "drishtiksha logs kube-apiserver; drishtiksha restart kube-apiserver"
        return Check("kubernetes", "wrong", str(error), cure)
    ready = sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for node in nodes
        for condition in (node.get("status") or {}).get("conditions") or []
    )
    if not ready:
        return Check(
            "kubernetes",
            "wrong",
            f"{version}, but no node is ready",
            "drishtiksha logs cpu-0; drishtiksha restart cpu-0",
        )
    return Check("kubernetes", "ok", f"{version} answers, {ready} of {len(nodes)} nodes ready")


async def api(found: Addresses, _settings: dict[str, str]) -> Check:
    """Is the api ready, by its own account?"""
    address = f"http://127.0.0.1:{found.ports['api']}"
    status, body = await _get(f"{address}/readyz", {})
    if status == 200:
        return Check("api", "ok", f"ready at {address}")
    missing = body.get("missing") if isinstance(body, dict) else None
    if missing:
        said = "; ".join(f"{name}: {sentence}" for name, sentence in missing.items())
        return Check("api", "wrong", f"not ready: {said}", "mend those first; it notices by itself")
    return Check(
        "api",
        "wrong",
        f"{address} {body if status is None else f'answers {status}'}",
        "drishtiksha logs api; drishtiksha restart api",
    )


async def _get(url: str, headers: dict[str, str]) -> tuple[int | None, Any]:
    """Status and JSON; None and a few words when nobody answers."""
    import httpx

    try:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False, follow_redirects=False) as client:
            answer = await client.get(url, headers={name: value for name, value in headers.items() if value})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return None, f"does not answer ({type(error).__name__})"
    try:
        return answer.status_code, answer.json()
    except ValueError:
        return answer.status_code, None


Ask = Callable[["Addresses", dict[str, str]], Awaitable[Check]]

ALL: tuple[tuple[str, str | None, Ask], ...] = (
    ("database", "DATABASE_URL", database),
    ("redis", "REDIS_URL", redis),
    ("ml service", "SERVER_URL", ml_service),
    ("kubernetes", None, kubernetes),
    ("api", None, api),
)
"""Each with the setting that names one of the person's own, if there may be such a one."""


def asked(name: str, ask: Ask, found: Addresses, told: dict[str, str]) -> Check:
    """Ask one neighbour; whatever happens is what was seen."""
    from drishtiksha.domain.errors import DrishtikshaError

    async def bounded() -> Check:
        async with asyncio.timeout(2 * PATIENCE):
            return await ask(found, told)

    try:
        return asyncio.run(bounded())
    except TimeoutError:
        return Check(name, "wrong", "it does not answer in time", "drishtiksha status")
    except (DrishtikshaError, OSError) as error:
        return Check(name, "wrong", str(error), "drishtiksha status")
