"""The stories that are told again and again, each time with another fault: what is done, and what must come of it.

A story returns what its people see in the end, in words that do not depend on ids, times, or the number of attempts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from drishtiksha.bus import USERS, Bus

from .ground import PODS, RESOURCES
from .house import HASTY, House
from .people import Dishonest, Person, picture

Outcome = dict[str, Any]
Telling = Callable[[House], Awaitable[Outcome]]

STORIES: dict[str, Story] = {}


def _one_model(house: House) -> None:
    house.models.names = ("A",)


@dataclass(frozen=True)
class Story:
    """`prepare` sets the house up before it is entered. `rests`: once it is over, nobody writes anything more."""

    name: str
    tell: Telling
    prepare: Callable[[House], None] = _one_model
    rests: bool = True


def story(name: str, **options: Any) -> Callable[[Telling], Telling]:
    """Enter a story into the list."""

    def enter(tell: Telling) -> Telling:
        STORIES[name] = Story(name, tell, **options)
        return tell

    return enter


async def ending(person: Person) -> Outcome:
    """All her media as she sees them, and their resources as the cluster does."""
    house = person.house
    media = []
    for one in await person.listing():
        seen = await person.look(one["id"])
        runs = [
            (
                run["runNumber"], run["status"], run["reason"],
                sorted((a["model"], a["status"], a["prediction"], a["errorClass"]) for a in run["analyses"]),
            )
            for run in seen["analysisRuns"]
        ]  # fmt: skip
        media.append((seen["status"], (seen["verdict"] or {}).get("label"), runs))
    phases = sorted(
        (r.get("status", {}).get("phase"), r.get("status", {}).get("summary")) for r in await house.ground.resources()
    )
    return {"media": media, "resources": phases}


@story("an upload becomes a verdict", prepare=lambda _: None)
async def upload(house: House) -> Outcome:
    person = await Person(house).sign_up()
    media = await person.upload()
    await house.settle()
    seen = await person.look(media["id"])
    if await person.download(seen["url"]) != picture():
        raise Dishonest("other bytes than were uploaded")
    return await ending(person)


def _failing_once(house: House) -> None:
    _one_model(house)
    house.models.failing = {"A": 1}


@story("an attempt fails and the next one answers", prepare=_failing_once)
async def retry(house: House) -> Outcome:
    person = await Person(house).sign_up()
    await person.upload()
    await house.settle()
    return await ending(person)


def _held(house: House) -> None:
    house.node = "node-1"
    house.models.held = asyncio.Event()
    house.timing = replace(HASTY, heartbeat=0.05)


@story("a run is cancelled while its runner works", prepare=_held)
async def cancel(house: House) -> Outcome:
    person = await Person(house).sign_up()
    media = await person.upload()
    while not await house.ground.jobs():
        await house.round(pods=False)
    pod = await house.nodes.start_pod((await house.ground.jobs())[0])
    async with asyncio.timeout(30):
        while not house.models.asked and not pod.done():
            await asyncio.sleep(0.005)
    await house.operate()
    await person.cancel(media["id"])
    async with asyncio.timeout(30):
        await pod
    assert house.models.held is not None
    house.models.held.set()
    await house.settle()
    return await ending(person)


@story("a media is deleted in the middle of its run")
async def delete(house: House) -> Outcome:
    person = await Person(house).sign_up()
    media = await person.upload()
    while not await house.ground.jobs():
        await house.round(pods=False)
    pod = await house.nodes.start_pod((await house.ground.jobs())[0])
    async with asyncio.timeout(60):
        await pod
    await person.delete(media["id"])
    if await person.listing():
        raise Dishonest("a deleted media is still listed")
    await house.settle()
    rows = await house.sql("SELECT count(*) FROM media")
    return {**await ending(person), "rows": rows}


@story("a media is examined once more")
async def rerun(house: House) -> Outcome:
    person = await Person(house).sign_up()
    media = await person.upload()
    await house.settle()
    await person.rerun(media["id"], 2)
    await house.settle()
    return await ending(person)


@story("a person sends everything again, with a key", prepare=_one_model)
async def again(house: House) -> Outcome:
    person = await Person(house).sign_up()
    broken = {"files": {"file": ("a.png", b"%PDF-1.7")}}
    file = {"files": {"file": ("a.png", picture())}}
    codes = [(await person.insist("/media", "upload", **broken)).status_code]
    answers = [await person.insist("/media", "upload", **file) for _ in range(2)]
    await house.settle()
    media = answers[0].json()["data"]["id"]
    reruns = [await person.insist(f"/media/{media}/analyze", "rerun", json={"reason": "again"}) for _ in range(2)]
    await house.settle()
    codes += [answer.status_code for answer in (*answers, *reruns)]
    if answers[1].json()["data"]["id"] != media or len(await person.listing()) != 1:
        raise Dishonest("one key made two media")
    if answers[1].headers.get("idempotency-replayed") != "true":
        raise Dishonest("an answer came again and does not say so")
    runs = len((await person.look(media))["analysisRuns"])
    return {**await ending(person), "codes": codes, "runs": runs}


@story("the cluster loses everything in mid-flight")
async def lost(house: House) -> Outcome:
    person = await Person(house).sign_up()
    await person.upload()
    while not await house.ground.jobs():
        await house.round(pods=False)
    await house.ground.lose_everything()
    await house.settle()
    return await ending(person)


def _short_lived(house: House) -> None:
    _one_model(house)
    house.resource_ttl = 0.000001


@story("finished resources and orphan bytes are collected", prepare=_short_lived, rests=False)
async def collect(house: House) -> Outcome:
    person = await Person(house).sign_up()
    await person.upload()
    await house.settle()
    async with asyncio.timeout(60):
        while await house.ground.resources():
            await house.round()
    orphan = house.folder / "objects" / "media" / "0192aaaa-0000-7000-8000-000000000000" / "original"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"nobody's")
    house.api.janitor._grace = timedelta(seconds=-60)  # long ago
    for _ in range(3):
        await house.janitor_gate.turn()
    if orphan.exists():
        raise Dishonest("the orphan is still there")
    return await ending(person)


@story("a person changes her account and looks around")
async def account(house: House) -> Outcome:
    person = await Person(house).sign_up()
    media = await person.upload()
    await house.settle()
    changed = await person.ask("PUT", "/auth/profile", json={"bio": "mathematician"})
    described = await person.ask("PATCH", f"/media/{media['id']}", json={"description": "on land"})
    run = await person.ask("GET", f"/media/{media['id']}/runs/1")
    frames = await person.ask("GET", f"/media/{media['id']}/frames")
    events = await person.ask("GET", f"/media/{media['id']}/events")
    links = [link["url"] for a in (await person.look(media["id"]))["analyses"] for link in a["artifacts"]]
    sizes = [len(await person.download(link)) > 0 for link in links]
    counted = [(await house.watcher.get("/metrics")).status_code for _ in range(2)]
    queue = await person.ask("GET", "/monitoring/queue-status")
    server = await person.ask("GET", "/monitoring/server-status")
    history = await person.ask("GET", "/monitoring/server-history")
    ended = await person.ask("GET", "/monitoring/stats/analysis")
    ready = [(await person._once("GET", "/readyz")).status_code for _ in range(2)]
    words = {"currentPassword": person.password, "newPassword": "wrong horse!"}
    new = await person.ask("PUT", "/auth/profile/password", json=words)
    if new.status_code == 401 and person.refusals:  # the refused call had changed it
        new.status_code = 200
    person.password = "wrong horse!"
    await person.log_in()
    before = person.refusals
    out = await person.ask("POST", "/auth/logout")
    if out.status_code == 401 and person.refusals > before:  # the refused call had ended the session
        out.status_code = 200
    gone = await person.ask("GET", "/auth/profile")
    await person.log_in()
    codes = [
        a.status_code for a in (changed, described, run, frames, events, queue, server, history, ended, new, out, gone)
    ]
    profile = (await person.ask("GET", "/auth/profile")).json()["data"]["bio"]
    told = (await person.look(media["id"]))["description"]
    return {
        **await ending(person),
        "codes": codes,
        "ready": (200 in ready, 200 in counted),
        "said": (profile, told, sizes),
    }


@story("a run waits longer than its age limit", prepare=_failing_once)
async def too_old(house: House) -> Outcome:
    person = await Person(house).sign_up()
    await person.upload()
    while not house.models.asked:
        await house.round()
    await house.grow_old("7 days 1 hour")
    await house.settle()
    return await ending(person)


@story("the cluster makes no pod")
async def no_pod(house: House) -> Outcome:
    person = await Person(house).sign_up()
    await house.ground.forbid(PODS)
    await person.upload()
    while not await house.ground.jobs():
        await house.round(pods=False)
    await house.ground.refused_pod()
    await house.grow_old("1 minute")
    await house.round(pods=False)
    await house.grow_old("10 minutes")
    while any(await house.open()):
        await house.round(pods=False)
    await house.ground.allow(PODS)
    return await ending(person)


@story("the cluster does not take the resource for a day")
async def not_taken(house: House) -> Outcome:
    person = await Person(house).sign_up()
    await house.ground.forbid(RESOURCES)
    await person.upload()
    await house.dispatch()
    await house.grow_old("25 hours")
    async with asyncio.timeout(60):
        while (await house.open())[0]:
            await house.round()
    await house.ground.allow(RESOURCES)
    return await ending(person)


@story("a listener is told everything once and in order")
async def told(house: House) -> Outcome:
    person = await Person(house).sign_up()
    ((user,),) = await house.sql("SELECT id FROM users")
    heard: list[int] = []

    async def emit(_name: str, _to: str, payload: dict[str, Any]) -> None:
        if payload.get("seq") is not None and _name == "progress_update":
            heard.append(payload["seq"])

    relay, bus = house.api.relay, Bus(house.ground.redis_url)
    relay._emit = emit  # what Socket.IO would carry to the browser
    ears = [asyncio.create_task(relay.hear(bus, "ml-progress")), asyncio.create_task(relay.look(bus))]
    try:
        await relay_until_added(relay, user)
        await bus.publish(USERS, {"userId": str(user), "seq": 0})
        await person.upload()
        await house.settle()
        ((last,),) = await house.sql("SELECT last_seq FROM event_counters")
        async with asyncio.timeout(30):
            while not heard or heard[-1] < last:
                await asyncio.sleep(0.005)
        if heard != list(range(1, last + 1)):
            raise Dishonest(f"told {heard} of {last}")
    finally:
        while deaf := [ear for ear in ears if not ear.done()]:  # a library may have taken one for its own
            for ear in deaf:
                ear.cancel()
            await asyncio.wait(deaf, timeout=1.0)
        await bus.close()
    return await ending(person)


async def relay_until_added(relay: Any, user: Any) -> None:
    """A browser that cannot connect tries again."""
    for _ in range(3):
        try:
            await relay.add(user, "socket", 0)
        except Exception:
            continue
        return
    raise Dishonest("the socket was refused three times")
