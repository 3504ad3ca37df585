"""The acts: which scene each begins in, what is done and killed in it, and how its runs may end.

How a person's media end is told by `restart.facts`: "ANALYZED", "FAILED CANCELLED", "nothing"; several are joined by " | ".
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from drishtiksha.database.media import Quota
from drishtiksha.domain.errors import Fenced
from drishtiksha.resources import AnalysisSpec
from drishtiksha_api.janitor import GRACE
from drishtiksha_jobrunner.door import Door
from drishtiksha_jobrunner.environment import Environment
from drishtiksha_jobrunner.run import run as run_attempt
from drishtiksha_jobrunner.timing import Timing

from . import pods, scenes
from .house import OBJECTS, Conditions, On
from .scenes import PICTURE, Scene

Play = Callable[[On, Scene], Awaitable[None]]
DONE = "ANALYZED"


@dataclass(frozen=True)
class Act:
    """`end`: how it ends when nobody dies in it; `or_else`: how it may end beside that, when somebody does.

    `again`: what the neighbour of the killed process does, which lives and repeats its call, or dies with it.
    `world`: the conditions before and in it; `after`: those of the restart, if they are others. `door`: needs one on a socket.
    `alone`: how often it executes a line hangs on what else there is in its place.
    """

    name: str
    prepare: Callable[[On], Awaitable[Scene]]
    play: Play
    end: str = DONE
    or_else: frozenset[str] = frozenset()
    again: Play | None = None
    world: Conditions = field(default_factory=Conditions)
    after: Conditions | None = None
    door: bool = False
    alone: bool = False


# -- a person, by REST --------------------------------------------------------------------------------------------------


def _upload(data: bytes, status: int) -> Play:
    async def play(on: On, scene: Scene) -> None:
        traced = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
        answer = await on.api.post(
            "/api/v1/media", headers=scene.headers | traced, files={"file": ("a.png", data)}, data={"description": "d"}
        )
        assert answer.status_code == status, answer.text

    return play


def _ask(method: str, path: str, status: int) -> Play:
    async def play(on: On, scene: Scene) -> None:
        answer = await on.api.request(method, f"/api/v1/media/{scene.media}{path}", headers=scene.headers)
        assert answer.status_code == status, answer.text

    return play


# -- the dispatcher, the operator, the janitor --------------------------------------------------------------------------


async def _dispatch(on: On, _scene: Scene) -> None:
    await on.dispatcher.once()


async def _erase(on: On, scene: Scene) -> None:
    await on.dispatcher.once()  # deletes the resource, which the finalizer holds
    await on.look(scene.run)
    for _ in range(2):
        await on.time_passes()
        await on.dispatcher.once()


async def _look(on: On, scene: Scene) -> None:
    await on.look(scene.run)


async def _look_twice(on: On, scene: Scene) -> None:
    await on.look(scene.run)
    await on.time_passes()
    await on.look(scene.run)


async def _reject(on: On, scene: Scene) -> None:
    await on.dispatcher.once()
    await on.look(scene.run)


async def _old_and_new(on: On) -> Scene:
    old = await scenes.resourced(on)
    await on.media.request_cancel(uuid.UUID(old.user), uuid.UUID(old.media))
    await on.look(old.run)
    return await scenes.resourced(on, old)


async def _sweep(on: On, _scene: Scene) -> None:
    await on.sweep.rows()
    await on.sweep.both_sides()


async def _two(on: On) -> Scene:
    first = await scenes.started(on)
    second = await scenes.resourced(on, first)
    await on.results.begin(uuid.UUID(first.attempt))
    await on.results.store(uuid.UUID(first.attempt), scenes.result("A"))
    return replace(second, attempt=first.run, job=first.job)


async def _one_place(on: On, scene: Scene) -> None:
    await on.look(scene.run)  # waits
    await pods.end_job(on, scene.job, 0)
    await on.look(scene.attempt)  # gives its place back
    await on.look(scene.run)


async def _stranger(on: On) -> Scene:
    scene, run = await scenes.someone(on), str(uuid.uuid4())
    await on.resources.create(AnalysisSpec(run, str(uuid.uuid4()), "IMAGE", False), 1)
    await on.resources.delete(run)
    return replace(scene, run=run)


async def _unseen(on: On) -> Scene:
    scene = await scenes.started(on)
    async with asyncio.timeout(pods.PATIENCE):
        while not await on.kube.list(
            f"/api/v1/namespaces/{on.place.namespace}/pods", labels=f"batch.kubernetes.io/job-name={scene.job}"
        ):
            await asyncio.sleep(0.05)
    await on.happened(scene.run, "1 min")
    return scene


async def _late(on: On) -> Scene:
    scene = await scenes.running(on)
    await on.happened(scene.run, "1 h")
    return scene


async def _quiet(on: On) -> Scene:
    scene = await scenes.running(on)
    await on.happened(scene.run, "10 s")  # its next word is written down, for the last one is old
    return scene


async def _littered(on: On) -> Scene:
    scene, old = await scenes.ended(on), time.time() - 2 * GRACE.total_seconds()
    await on.time_passes()
    await on.dispatcher.once()
    for name in (f"media/{uuid.uuid4()}/original", f"media/{scene.media}/artifacts/{uuid.uuid4()}/1-x", ".incoming/x"):
        (OBJECTS / name).parent.mkdir(parents=True, exist_ok=True)
        (OBJECTS / name).write_bytes(b"left behind")
    for path in OBJECTS.rglob("*"):
        if path.is_file():
            os.utime(path, (old, old))
    return scene


async def _collect(on: On, _scene: Scene) -> None:
    await on.janitor.once()


# -- a runner, by the door ----------------------------------------------------------------------------------------------


def _call(*requests: tuple[str, str, object]) -> Play:
    """Requests of one attempt, one after the other; when they are repeated the door may say that it is fenced."""

    async def play(on: On, scene: Scene) -> None:
        token = {"Authorization": f"Bearer {on.house.keys.attempt_token(uuid.UUID(scene.attempt))}"}
        for method, path, body in requests:
            if isinstance(body, bytes):
                named = {"Content-Type": "image/png", "X-Kind": "heatmap"}
                named["X-Content-SHA256"] = hashlib.sha256(body).hexdigest()
                answer = await on.door.request(method, f"/attempt{path}", headers=token | named, content=body)
            else:
                answer = await on.door.request(method, f"/attempt{path}", headers=token, json=body)
            assert answer.status_code in (200, 206, 409), answer.text

    return play


BEGIN = _call(
    ("GET", "", None),
    ("GET", "/media", None),
    ("POST", "/progress", {"event": "FRAME_ANALYSIS_PROGRESS", "message": "", "data": {"progress": 1, "total": 2}}),
)
_WORD = _call(("POST", "/progress", None))
RESULT = _call(
    ("PUT", "/artifacts/a.png", PICTURE),
    ("PUT", "/artifacts/a.png", PICTURE + b"."),
    ("PUT", "/artifacts/b.png", PICTURE),
    (
        "PUT",
        "/result",
        {
            "protocol": 1, "model": "A", "modelVersion": "1", "prediction": "FAKE", "confidence": 0.9,
            "finding": "MANIPULATED_REGION", "calibration": {"kind": "nfa", "bound": 0.001}, "processingTime": 1.0,
            "measure": {"value": 1.0, "kind": "nfa", "name": "n"}, "coverage": {"frames": 3},
            "facts": {"a": 1.0, "b": True, "c": "d"}, "metrics": {"m": 0.5}, "limits": ["l"],
            "series": [{"name": "s", "t": [0.0], "v": [1.0]}], "regions": [{"box": [1, 2, 3, 4]}],
            "image": {"width": 64, "height": 48}, "audio": {"channels": 1}, "systemInfo": {"serverVersion": "3"},
            "modelInfo": {"className": "A"}, "frameCount": 3, "artifacts": ["a.png"],
            "frames": [{"number": n, "score": n / 10, "prediction": "REAL"} for n in range(3)],
        },
    ),
)  # fmt: skip
_BAD = _call(("PUT", "/failure", {"class": "BAD_MEDIA", "message": "it is broken"}))
_BUSY = _call(("PUT", "/failure", {"class": "ML_UNAVAILABLE", "message": "it is away"}))

_HASTY = Timing(before_assignment=30.0, door_pause=0.05, door_pause_max=0.2, heartbeat=0.05, progress_gap=0.02)


async def _attempt(on: On, scene: Scene) -> int:
    scratch = Path("scratch") / scene.attempt
    scratch.mkdir(parents=True, exist_ok=True)
    token = on.house.keys.attempt_token(uuid.UUID(scene.attempt))
    told = Environment(on.place.door, token, on.house.infra.ml, "service-key", scratch=scratch.resolve())
    code = await run_attempt(told, _HASTY)
    assert not list(scratch.iterdir()), "the runner left something in its scratch folder"
    return code


async def _run(on: On, scene: Scene) -> None:
    await _attempt(on, scene)


async def _words(on: On, scene: Scene) -> None:
    """A heartbeat that the end of the analysis cuts off, and one that comes too late: chance decides in a whole run."""
    token = on.house.keys.attempt_token(uuid.UUID(scene.attempt))
    async with httpx.AsyncClient(base_url=on.place.door, headers={"Authorization": f"Bearer {token}"}) as client:
        door = Door(client, _HASTY)
        word = asyncio.create_task(door.progress(None))
        await asyncio.sleep(0)
        word.cancel()
        with suppress(asyncio.CancelledError):
            await word
        with suppress(Fenced):
            await door.progress(None)


async def _next_pod(on: On, scene: Scene) -> None:
    """The killed pod ends, and whatever attempt is made after it has a runner of its own."""
    await pods.end_job(on, scene.job, pods.KILLED)
    await _look_twice(on, scene)
    following = await scenes.with_attempt(on, scene)
    if following.attempt != scene.attempt:
        await pods.end_job(on, following.job, await _attempt(on, following))


# -- all of them --------------------------------------------------------------------------------------------------------

_SMALL = Conditions(settings=(("DRISHTIKSHA_MAX_ACTIVE_JOBS", 1),))
_NOTHING = frozenset({"nothing"})

ACTS: tuple[Act, ...] = (
    Act("upload", scenes.someone, _upload(PICTURE, 202), or_else=_NOTHING),
    Act("upload refused by type", scenes.someone, _upload(b"%PDF-1.7\n" + bytes(5000), 415), end="nothing"),
    Act("upload refused by content", scenes.someone, _upload(PICTURE[:40] + bytes(5000), 422), end="nothing"),
    Act(
        "upload refused by quota", scenes.someone, _upload(PICTURE, 429), end="nothing",
        world=Conditions(quota=Quota(media=0)),
    ),
    Act("cancel", scenes.running, _ask("POST", "/cancel", 202), end="FAILED CANCELLED", or_else=frozenset({DONE})),
    Act("delete", scenes.running, _ask("DELETE", "", 200), end="nothing", or_else=frozenset({DONE})),
    Act(
        "rerun", scenes.ended, _ask("POST", "/analyze", 202), end=f"FAILED NO_COMPATIBLE_MODEL, {DONE}",
        or_else=frozenset({"FAILED NO_COMPATIBLE_MODEL"}),
    ),
    Act("dispatch", scenes.accepted, _dispatch),
    Act("dispatch to nobody", scenes.accepted, _dispatch, world=Conditions(cut=True), after=Conditions()),
    Act("dispatch refused", scenes.accepted, _reject, end="FAILED CLUSTER_REJECTED", world=Conditions(refuses=True)),
    Act("erase", scenes.deleted, _erase, end="nothing"),
    Act("start", scenes.resourced, _look, world=Conditions(models=("A", "B"))),
    Act("conclude", scenes.answered, _look),
    Act("retry", scenes.crashed, _look_twice),
    Act("cancelled", scenes.cancelled, _look_twice, end="FAILED CANCELLED"),
    Act("no service", scenes.resourced, _look, world=Conditions(away=True), after=Conditions()),
    Act("no model", scenes.resourced, _look_twice, end="FAILED NO_COMPATIBLE_MODEL", world=Conditions(models=())),
    Act("resource lost", scenes.lost, _look),
    Act("resource of nobody", _stranger, _look, end="nothing"),
    Act(
        "too old", scenes.frozen, _look, end="FAILED UNSCHEDULABLE",
        world=Conditions(settings=(("DRISHTIKSHA_RUN_AGE_LIMIT", "1ms"),)),
    ),
    Act(
        "Job refused", scenes.resourced, _look, end="FAILED CLUSTER_REJECTED",
        world=Conditions(config="models: {overrides: [{match: A, overlay: {nonsense: 1}}]}"),
    ),
    Act("not scheduled", _unseen, _look),
    Act("beyond its deadline", _late, _look_twice, end="FAILED DEADLINE"),
    Act("one place", _two, _one_place, end=f"{DONE} | {DONE}", world=_SMALL),
    Act(
        "sweep", _old_and_new, _sweep, end=f"FAILED CANCELLED | {DONE}",
        world=Conditions(settings=(("DRISHTIKSHA_RESOURCE_TTL", "1ms"),)), alone=True,
    ),
    Act("janitor", _littered, _collect, end="FAILED NO_COMPATIBLE_MODEL", alone=True),
    Act("begin", scenes.started, BEGIN, again=BEGIN),
    Act("heartbeat", _quiet, _WORD, again=_WORD),
    Act("result", scenes.running, RESULT, again=RESULT),
    Act("failure", scenes.running, _BAD, end="FAILED BAD_MEDIA", again=_BAD),
    Act("stumble", scenes.running, _BUSY, again=_BUSY),
    Act("runner's heartbeats", scenes.cancelled, _words, end="FAILED CANCELLED", again=_words, door=True),
    Act("runner", scenes.started, _run, again=_next_pod, door=True),
    Act(
        "runner with a broken file", scenes.started, _run, end="FAILED BAD_MEDIA", again=_next_pod, door=True,
        world=Conditions(models=("BAD",)),
    ),
)  # fmt: skip

BY_NAME = {act.name: act for act in ACTS}
