"""How far a run has come when an act begins: each scene is played by the same verbs and processes, unwatched."""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from PIL import Image
from stores import PROBE, result

from drishtiksha.database.media import NewMedia
from drishtiksha.database.runs import FrozenModel
from drishtiksha.database.session import new_id
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.objects import keys
from drishtiksha.resources import job_name

from . import pods
from .house import On


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (40, 80, 120)).save(out, "PNG")
    return out.getvalue()


PICTURE = _picture()


@dataclass(frozen=True)
class Scene:
    """What an act is about; written down before the act begins, so that the restart knows whom to look for."""

    user: str = ""
    token: str = ""
    media: str = ""
    run: str = ""
    attempt: str = ""
    job: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Of her requests."""
        return {"Authorization": f"Bearer {self.token}"}


async def someone(on: On) -> Scene:
    """A person, and nothing of hers."""
    user, token = await on.person()
    return Scene(user, token)


async def accepted(on: On, scene: Scene | None = None) -> Scene:
    """An upload that was accepted: durable bytes, committed rows, a wish."""
    scene = scene or await someone(on)
    media_id, run_id = new_id(), new_id()

    async def drawn() -> AsyncIterator[bytes]:
        yield PICTURE

    key = keys.original(str(media_id))
    stored = await on.house.objects.put(key, drawn())
    user = uuid.UUID(scene.user)
    await on.media.accept(NewMedia(media_id, run_id, user, "a.png", None, key, stored.size, stored.sha256, PROBE))
    return replace(scene, media=str(media_id), run=str(run_id))


async def resourced(on: On, scene: Scene | None = None) -> Scene:
    """Its resource is there."""
    scene = await accepted(on, scene)
    await on.dispatcher.once()
    return scene


async def started(on: On, scene: Scene | None = None) -> Scene:
    """The set is frozen, and each model has its Job."""
    scene = await resourced(on, scene)
    await on.look(scene.run)
    return await with_attempt(on, scene)


async def with_attempt(on: On, scene: Scene) -> Scene:
    """The current attempt of its first model."""
    run = await on.runs.snapshot(uuid.UUID(scene.run))
    assert run is not None
    analysis = run.analyses[0]
    assert analysis.current is not None
    job = job_name(run.id, analysis.model, analysis.current.number)
    return replace(scene, attempt=str(analysis.current.id), job=job)


async def running(on: On) -> Scene:
    """Its runner has called."""
    scene = await started(on)
    await on.results.begin(uuid.UUID(scene.attempt))
    return scene


async def answered(on: On) -> Scene:
    """Its result is in, and its Job has completed."""
    scene = await running(on)
    await on.results.store(uuid.UUID(scene.attempt), result("A"))
    await pods.end_job(on, scene.job, 0)
    return scene


async def crashed(on: On) -> Scene:
    """Its pod was killed in the middle of its work."""
    scene = await running(on)
    await pods.end_job(on, scene.job, pods.KILLED)
    return scene


async def ended(on: On, scene: Scene | None = None) -> Scene:
    """A run that has failed without any Job."""
    scene = await accepted(on, scene)
    await on.runs.conclude(uuid.UUID(scene.run), unfrozen=ErrorClass.NO_COMPATIBLE_MODEL)
    return scene


async def cancelled(on: On) -> Scene:
    """She has asked for its end, and nobody has looked yet."""
    scene = await running(on)
    await on.media.request_cancel(uuid.UUID(scene.user), uuid.UUID(scene.media))
    return scene


async def deleted(on: On) -> Scene:
    """A tombstone, while the runner works."""
    scene = await running(on)
    await on.media.remove(uuid.UUID(scene.user), uuid.UUID(scene.media))
    return scene


async def frozen(on: On) -> Scene:
    """The set is frozen; nothing has started."""
    scene = await resourced(on)
    await on.runs.freeze(uuid.UUID(scene.run), [FrozenModel("A", "1", "default", "service", 3)])
    return scene


async def lost(on: On) -> Scene:
    """Somebody has removed the resource by force."""
    scene = await resourced(on)
    resource = await on.resources.get(scene.run)
    assert resource is not None
    await on.story.reporting.analyses.release(resource)
    await on.resources.delete(scene.run)
    return scene
