"""Which models are loaded: asks the ML services for `/stats`, and knows the models that pods bring along.

`Discovery` calls (one look at a time for all who ask, kept for seconds), `choose` is pure: it says which models a
run shall have, or why that cannot be said yet. `reconcile` freezes what it says.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from drishtiksha.domain.dialect import MEDIA_OF, spoken
from drishtiksha.domain.media import MediaType
from drishtiksha.resources import model_digest

from .config import MAX_MODELS, MODEL_NAME, Config, Service

log = structlog.get_logger()

STATS_BYTES = 2 * 1024 * 1024
"""More than any honest `/stats`."""
PATIENCE = 20.0
"""Seconds for the whole answer: one that drips never runs into the timeouts of its pieces, and every run waits for it."""
STARTING = 60.0
"""Seconds of uptime within which a service that lists a model as not loaded is still starting."""
_FLAGS = {MediaType.VIDEO: "isVideo", MediaType.AUDIO: "isAudio", MediaType.IMAGE: "isImage"}


@dataclass(frozen=True)
class Listed:
    """One model as a service lists it. `failed`: it says why it is not loaded, so waiting is no use."""

    name: str
    version: str
    loaded: bool
    failed: bool
    media_types: frozenset[MediaType]
    needs_audio: bool


@dataclass(frozen=True)
class Answer:
    """What one service said in one look, in which dialect; `error` when it said nothing usable. Uptime in seconds."""

    service: str
    required: bool
    models: tuple[Listed, ...] = ()
    uptime: float | None = None
    error: str | None = None
    dialect: int | None = None


@dataclass(frozen=True)
class Look:
    """All services at one time (monotonic seconds)."""

    at: float
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Offer:
    """A model that can examine the media now. `source`: the service's name, or `pod`."""

    name: str
    version: str
    execution: str
    source: str


@dataclass(frozen=True)
class Choice:
    """Which models a run shall have. `waiting` says in a sentence why that is not known yet; then `offers` is empty."""

    offers: tuple[Offer, ...] = ()
    waiting: str | None = None
    nobody: bool = False
    """There is nobody to ask: no service is set and no model is declared."""
    warnings: tuple[str, ...] = ()


def choose(
    config: Config, look: Look, media_type: MediaType, has_audio: bool, wanted: Iterable[str] | None = None
) -> Choice:
    """The models for one media, from one look. Pure; raises nothing.

    A declared name wins over a served one, among services the first. `wanted`: only these names.
    """
    only = None if wanted is None else set(wanted)
    declared = config.models.declared
    if not config.services and not declared:
        return Choice(waiting="No ML service is set (SERVER_URL) and no model is declared.", nobody=True)
    away = [f"{a.service} ({a.error})" for a in look.answers if a.error is not None and a.required]
    if away:
        return Choice(waiting=f"Waiting for the ML service {', '.join(away)}.")

    def fits(types: Iterable[MediaType], needs_audio: bool, name: str) -> bool:
        return media_type in types and (has_audio or not needs_audio) and (only is None or name in only)

    found: dict[str, Offer] = {}
    for name, profile in declared.items():
        if fits(profile.media_types, profile.needs_audio, name):
            found[name] = Offer(name, profile.version, "pod", "pod")
    for answer in look.answers:
        for model in answer.models:
            if (
                model.name in found
                or model.name in declared
                or not fits(model.media_types, model.needs_audio, model.name)
            ):
                continue
            if model.loaded:
                found[model.name] = Offer(model.name, model.version, "service", answer.service)
            elif not model.failed and answer.uptime is not None and answer.uptime < STARTING:
                return Choice(waiting=f"{answer.service} is still loading {model.name}.")
    return _bounded(sorted(found.values(), key=lambda o: o.name))


def _bounded(offers: list[Offer]) -> Choice:
    """At most MAX_MODELS, and no two whose names hash alike (their Jobs would have one name)."""
    kept: dict[str, Offer] = {}
    warnings: list[str] = []
    for offer in offers:
        twin = kept.get(model_digest(offer.name))
        if twin is not None:
            warnings.append(f"{offer.name} is left out: its name hashes like that of {twin.name}.")
        elif len(kept) == MAX_MODELS:
            warnings.append(f"{offer.name} is left out: a run has at most {MAX_MODELS} models.")
        else:
            kept[model_digest(offer.name)] = offer
    return Choice(offers=tuple(kept.values()), warnings=tuple(warnings))


def read_stats(service: Service, body: Any) -> Answer:
    """One service's `/stats`, with what is unusable left out: also media that its dialect cannot be sent. Pure."""
    if not isinstance(body, Mapping) or not isinstance(body.get("models_info"), list):
        return Answer(service.name, service.required, error="its /stats has no models_info")
    uptime = body.get("uptime_seconds")
    dialect = spoken(service.dialect, body.get("version"))
    listed: dict[str, Listed] = {}
    for entry in body["models_info"]:
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not MODEL_NAME.match(name):
            log.warning(
                "a service lists a model by a name that cannot be used", service=service.name, name=str(name)[:80]
            )
            continue
        several = entry.get("isMultiModal") is True
        types = MEDIA_OF[dialect] & {kind for kind, flag in _FLAGS.items() if entry.get(flag) is True}
        version = entry.get("version")
        listed.setdefault(
            name,
            Listed(
                name=name,
                version=version[:200] if isinstance(version, str) else "",
                loaded=entry.get("loaded") is True,
                failed=bool(entry.get("reason") or entry.get("error")),
                media_types=types & {MediaType.VIDEO} if several else types,
                needs_audio=several,
            ),
        )
    return Answer(
        service.name,
        service.required,
        tuple(listed.values()),
        uptime=float(uptime) if isinstance(uptime, int | float) and uptime >= 0 else None,
        dialect=dialect,
    )


@dataclass
class Discovery:
    """The looks. `client` has timeouts, no redirects and no environment proxies; `kept` in seconds."""

    config: Config
    client: httpx.AsyncClient
    kept: float = 1.0
    clock: Callable[[], float] = time.monotonic
    _last: Look | None = None
    _running: asyncio.Task[Look] | None = None
    _told: dict[str, str | None] = field(default_factory=dict)

    async def look(self, *, after: float | None = None) -> Look:
        """The newest look, at most `kept` seconds old and not before `after`; callers share one that is under way."""
        last = self._last
        if last is not None and self.clock() - last.at <= self.kept and (after is None or last.at >= after):
            return last
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._ask_all())
        return await asyncio.shield(self._running)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The newest answers, however old; empty before the first look."""
        return self._last.answers if self._last is not None else ()

    async def _ask_all(self) -> Look:
        at = self.clock()
        answers = await asyncio.gather(*(self._ask(service) for service in self.config.services))
        for answer in answers:
            if self._told.get(answer.service, "") != answer.error:
                self._told[answer.service] = answer.error
                models = [m.name for m in answer.models if m.loaded]
                told = {"error": answer.error, "dialect": answer.dialect, "models": models}
                log.info("looked at an ML service", service=answer.service, **told)
        self._last = Look(at, tuple(answers))
        return self._last

    async def _ask(self, service: Service) -> Answer:
        headers = {"X-API-Key": service.api_key.get_secret_value()} if service.api_key else {}
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self.client.stream("GET", f"{service.url}/stats", headers=headers) as response,
            ):
                if response.status_code != 200:
                    why = "it refuses our key" if response.status_code in (401, 403) else f"HTTP {response.status_code}"
                    return Answer(service.name, service.required, error=why)
                raw = bytearray()
                async for chunk in response.aiter_bytes():
                    raw += chunk
                    if len(raw) > STATS_BYTES:
                        return Answer(service.name, service.required, error="its /stats is too large")
            return read_stats(service, json.loads(raw))
        except (httpx.TimeoutException, TimeoutError):
            return Answer(service.name, service.required, error="it does not answer in time")
        except httpx.HTTPError:
            return Answer(service.name, service.required, error="it cannot be reached")
        except ValueError:
            return Answer(service.name, service.required, error="its /stats is no JSON")


def http_client() -> httpx.AsyncClient:
    """The client for looks: a service that loads its models may take some seconds to answer."""
    timeout = httpx.Timeout(12.0, connect=3.0)
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)
