"""Events across disconnects: real clients of a real api process, cut at random, hear every event of theirs once, in order.

The fault proxy stands before the api and before Valkey. The writer appends events by the store that every verb uses.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import figures
import httpx
import pytest
import redis.asyncio as aioredis
from counting_ears import Ear, Owner
from fault_proxy import FaultProxy
from sqlalchemy.ext.asyncio import AsyncSession
from stores import Stores, open_stores
from test_process import environment, free_port, started, until_answered

from drishtiksha import bus
from drishtiksha.bus import Bus
from drishtiksha.database import events
from drishtiksha.database.media import NewMedia
from drishtiksha.database.session import new_id
from drishtiksha.domain.events import analysis_queued
from drishtiksha_api.tokens import Tokens

pytestmark = pytest.mark.long

SECRET = "j" * 40


class Stage:
    """An api process behind a proxy, with a Valkey behind another, its users and their clients."""

    def __init__(self, stores: Stores, front: FaultProxy, valkey: FaultProxy, redis_url: str, seed: int) -> None:
        self.stores, self.front, self.valkey = stores, front, valkey
        self.redis_url = redis_url
        self.bus = Bus(redis_url)
        self.random = random.Random(seed)
        self.owners: list[tuple[Owner, NewMedia]] = []
        self.ears: list[Ear] = []
        self.troubles: Counter[str] = Counter()

    async def people(self, count: int) -> None:
        """Users with one media each, and two clients: one over a websocket, one over polling."""
        for number in range(count):
            user = await self.stores.user(f"u{number}")
            jti, now = new_id(), datetime.now(UTC)
            await self.stores.users.open_session(user, jti, 0, now + timedelta(hours=2))
            token = Tokens(SECRET, 7200).mint(
                user_id=user, email="x@example.org", role="USER", generation=0, session_id=jti, now=now
            )
            media = await self.stores.upload(user)
            self.owners.append((Owner(user, token, {str(media.id)}, 1), media))
            for transport in ("websocket", "polling"):
                ear = Ear(f"http://127.0.0.1:{self.front.port}", self.owners[-1][0], transport, len(self.ears))
                self.ears.append(ear)
                ear.start()

    async def write(self, each: int, batch: int, rest: float) -> None:
        """`each` events for every user, `batch` in a transaction, a rest between two; some wake-ups are lost."""
        left = {owner.id: each for owner, _ in self.owners}
        while open_ones := [pair for pair in self.owners if left[pair[0].id]]:
            owner, media = self.random.choice(open_ones)
            count = min(batch, left[owner.id])
            left[owner.id] -= count
            told = [analysis_queued(f"M{n}") for n in range(count)]

            async def append(session: AsyncSession, media=media, told=told) -> int:  # type: ignore[no-untyped-def]
                return (await events.append(session, media.user_id, media.id, media.run_id, told)).seq

            owner.last_seq = await self.stores.database.transaction(append)
            if self.random.random() < 0.7:
                await self.bus.wake_user(owner.id, owner.last_seq)
            await self.lie(owner, media)
            await asyncio.sleep(self.random.uniform(0.0, 2 * rest))

    async def lie(self, owner: Owner, media: NewMedia) -> None:
        """Redis may say what it likes: wrong numbers, wrong owners, no numbers at all."""
        other = self.random.choice(self.owners)[0]
        if self.random.random() < 0.1:
            wrong = {"event": "FRAME_ANALYSIS_PROGRESS", "mediaId": str(media.id), "userId": str(other.id), "seq": 1}
            await self.bus.publish(bus.TICKS, {**wrong, "data": {"progress": 1}})
            await self.bus.publish(bus.USERS, {"userId": str(other.id), "seq": 10**9, "mediaId": str(media.id)})
            await self.bus.publish(bus.USERS, {"userId": "nobody", "seq": "x"})

    async def trouble(self, until: asyncio.Task[None], pause: tuple[float, float]) -> None:
        """Connections die, of clients and of Valkey, until the writer has ended."""
        draw = self.random
        while not until.done():
            await asyncio.sleep(draw.uniform(*pause))
            what = draw.choice(
                ("cut some", "cut some", "cut in a message", "leave", "slow", "valkey cut", "valkey away")
            )
            self.troubles[what] += 1
            match what:
                case "cut some":
                    self.front.cut_all(lambda: draw.random() < 0.4)
                case "cut in a message":
                    self.front.to_client.cut_after = draw.randint(500, 60_000)
                    await asyncio.sleep(draw.uniform(*pause))
                    self.front.to_client.cut_after = None
                case "leave":
                    await draw.choice(self.ears).leave()
                case "slow":
                    self.front.slow(draw.choice((0.0, 0.02)))
                case "valkey cut":
                    self.valkey.cut_all()
                case _:
                    async with aioredis.from_url(self.redis_url) as client:
                        await client.flushall()
                    self.valkey.refuse()
                    await asyncio.sleep(draw.uniform(*pause))
                    self.valkey.heal()

    async def all_heard(self, seconds: float) -> None:
        """Peace; every client hears the last event of its user."""
        self.front.heal()
        self.valkey.heal()
        end = time.monotonic() + seconds
        while not all(ear.complete for ear in self.ears):
            behind = [(e.transport, e.heard, e.owner.last_seq, e.connections) for e in self.ears if not e.complete]
            assert time.monotonic() < end, behind
            await asyncio.sleep(0.1)
        for ear in self.ears:
            await ear.stop()


@asynccontextmanager
async def staged(database_url: str, redis_url: str, tmp_path: Path, seed: int) -> AsyncIterator[Stage]:
    port, metrics = free_port(), free_port()
    stores = open_stores(database_url)
    with FaultProxy.before(redis_url) as valkey, FaultProxy("127.0.0.1", port) as front:
        settings = {"PORT": str(port), "DRISHTIKSHA_METRICS_PORT": str(metrics), "JWT_SECRET": SECRET}
        wiring = {"DATABASE_URL": database_url, "REDIS_URL": valkey.instead_of(redis_url)}
        with started("serve", environment(tmp_path, **settings, **wiring), tmp_path, log=tmp_path / "api.log"):
            await asyncio.to_thread(until_answered, f"http://127.0.0.1:{port}/healthz")
            stage = Stage(stores, front, valkey, redis_url, seed)
            yield stage
            for ear in stage.ears:
                await ear.stop()
            await stage.bus.close()
    await stores.database.close()


async def heard_exactly(
    stage: Stage,
    *,
    people: int,
    each: int,
    batch: int,
    rest: float,
    pause: tuple[float, float],
    patience: float = 120.0,
) -> int:
    """Run it; the number of deliveries, all of them right."""
    await stage.people(people)
    writing = asyncio.create_task(stage.write(each, batch, rest))
    await stage.trouble(writing, pause)
    await writing
    await stage.all_heard(patience)
    wrong = sum((ear.wrong for ear in stage.ears), Counter())
    assert wrong == {}
    assert all(ear.delivered == ear.owner.last_seq == each + 1 for ear in stage.ears)
    for owner, _ in stage.owners:
        assert (await stage.stores.events.last_seq([owner.id]))[owner.id] == owner.last_seq
    return sum(ear.delivered for ear in stage.ears)


async def test_i9_i17_clients_that_are_cut_at_random_hear_every_event_of_theirs_once_and_in_order(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with staged(database_url, redis_url, tmp_path, 1) as stage:
        delivered = await heard_exactly(stage, people=3, each=400, batch=10, rest=0.04, pause=(0.1, 0.4))
        assert delivered == 3 * 2 * 401
        assert sum(ear.connections for ear in stage.ears) > len(stage.ears)


async def test_a_polling_client_with_much_to_catch_up_gets_it_in_answers_it_can_take(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """python-engineio's client refuses an answer of more than 16 packets, and would be given the same one for ever."""
    async with staged(database_url, redis_url, tmp_path, 3) as stage:
        stage.front.refuse()
        await stage.people(1)
        await stage.write(200, 100, 0.0)
        stage.front.heal()
        await stage.all_heard(60)
        assert [ear.connections for ear in stage.ears] == [1, 1]


async def test_a_poll_that_is_asked_twice_ends_its_session(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """As HTTP libraries and browsers do by themselves when a connection breaks: the first answer may have been lost."""
    async with staged(database_url, redis_url, tmp_path, 4) as stage:
        stage.front.refuse()
        await stage.people(1)
        stage.front.heal()
        token = stage.owners[0][0].token
        async with httpx.AsyncClient(base_url=stage.ears[0].url, timeout=60) as client:

            async def session() -> dict[str, str]:
                opened = await client.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
                made = {"EIO": "4", "transport": "polling", "sid": json.loads(opened.text[1:])["sid"]}
                await client.post("/socket.io/", params=made, content="40" + json.dumps({"token": token}))
                assert (await client.get("/socket.io/", params={**made, "t": "1"})).text.startswith("40")
                return made

            answered = await session()
            assert (await client.get("/socket.io/", params={**answered, "t": "1"})).status_code == 400
            waiting = await session()
            first = asyncio.create_task(client.get("/socket.io/", params={**waiting, "t": "2"}))
            await asyncio.sleep(0.3)
            assert (await client.get("/socket.io/", params={**waiting, "t": "3"})).status_code == 400
            assert (await first).text == ""
            left = await session()
            with pytest.raises(httpx.ReadTimeout):
                await client.get("/socket.io/", params={**left, "t": "2"}, timeout=0.3)
            await asyncio.sleep(0.3)
            assert (await client.get("/socket.io/", params={**left, "t": "3"})).status_code == 400


@pytest.mark.soak
@pytest.mark.timeout(3000)
async def test_i9_i17_a_hundred_thousand_deliveries_across_disconnects_are_exact(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with staged(database_url, redis_url, tmp_path, 2) as stage:
        delivered = await heard_exactly(
            stage, people=6, each=8500, batch=40, rest=0.08, pause=(0.2, 0.8), patience=1500.0
        )
        connections = sum(ear.connections for ear in stage.ears)
        figures.record(
            "events",
            "Events across random disconnects",
            "DRISHTIKSHA_WRITE_FIGURES=1 make test-soak",
            [
                figures.Claim(
                    "durable events delivered over Socket.IO, half of them over polling",
                    "≥ 100,000; 0 missing, 0 foreign, 0 out of order",
                    f"{delivered:,} to {len(stage.ears)} clients of {len(stage.owners)} users over {connections:,} connections; "
                    "0 missing, 0 foreign, 0 doubled or out of order",
                    delivered >= 100_000,
                    "a relay that begins with what is live; one that believes the user in a message of Redis; a poll that may be "
                    "asked twice: red",
                )
            ],
            words="Real clients (python-socketio) of a real api process behind the fault proxy came back with their `lastSeq` after "
            "each cut; Valkey, behind a proxy of its own, was cut, flushed and refused meanwhile, and said wrong things on purpose.",
            table=figures.Table(("trouble", "times"), sorted((w, f"{n:,}") for w, n in stage.troubles.items())),
        )
