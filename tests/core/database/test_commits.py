"""A COMMIT whose answer is lost: every verb finds its own work when it is run again, and does nothing twice.

Real stores, a real PostgreSQL, and the fault proxy between them: the server carries the COMMIT out, and the client is
never told. After each verb the rows and the events must be exactly those that were asked for.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import figures
import psycopg
import pytest
from fault_proxy import FaultProxy
from fault_wires import Fault, Statements
from stores import Stores, open_stores
from troubled_lives import Life, Tally, Trouble
from witness import ask, assert_clean

from drishtiksha.database.outbox import Wish
from drishtiksha.domain.errors import NotActive
from drishtiksha.domain.status import RunStatus

pytestmark = pytest.mark.long

SIDE_BY_SIDE, LIVES = 4, 6


@pytest.fixture(autouse=True)
def _threads_take_turns_often() -> Iterator[None]:
    """The proxies are threads of this process: at the usual five milliseconds a round trip takes twenty."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    yield
    sys.setswitchinterval(usual)


@asynccontextmanager
async def troubled(database_url: str, seed: int) -> AsyncIterator[tuple[Stores, Trouble, FaultProxy]]:
    """Stores behind a proxy of their own, and what troubles them."""
    statements = Statements()
    with FaultProxy.before(database_url, statements.wire) as proxy:
        stores = open_stores(proxy.instead_of(database_url))
        yield stores, Trouble(seed, statements), proxy
        await stores.database.close()


async def lives(database_url: str, enough: Callable[[int, int], bool]) -> tuple[Tally, list[Trouble], int]:
    """Lives, some side by side, until it is enough (of lives, of ambiguous commits)."""
    tally, desk, number = Tally(), dict[uuid.UUID, Wish](), 0
    async with AsyncExitStack() as stack:
        pairs = [(await stack.enter_async_context(troubled(database_url, seed)))[:2] for seed in range(SIDE_BY_SIDE)]
        troubles = [trouble for _, trouble in pairs]

        async def worker(stores: Stores, trouble: Trouble) -> None:
            nonlocal number
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as direct:
                while not enough(number, sum(t.statements.ambiguous - t.lost_reads for t in troubles)):
                    number += 1
                    life = Life(number, stores, direct, trouble, tally, desk)
                    await life.live()
                    tally.events += len(life.told)

        async with asyncio.TaskGroup() as group:
            for pair in pairs:
                group.create_task(worker(*pair))
    return tally, troubles, number


def told(tally: Tally, troubles: list[Trouble], number: int) -> None:
    """What was shown, into the figures."""
    ambiguous = sum(t.statements.ambiguous - t.lost_reads for t in troubles)
    faults = {fault: sum(t.statements.faults[fault] for t in troubles) for fault in Fault}
    figures.record(
        "commits",
        "Commits whose answer was lost",
        "DRISHTIKSHA_WRITE_FIGURES=1 make test-soak",
        [
            figures.Claim(
                "ambiguous commits: carried out by the server, their client never told",
                "≥ 5,000; 0 lost, 0 doubled",
                f"{ambiguous:,} in {number:,} lives of media; 0 lost, 0 doubled in {tally.checks:,} comparisons of rows and "
                f"{tally.events:,} events",
                ambiguous >= 5000,
                "an id made inside the transaction; an upload, a result, a deletion, attempts that do not find themselves again: red",
            ),
        ],
        words="Every verb of the stores ran through a proxy before a real PostgreSQL. After each verb the rows and the user's "
        "events, each once and numbered without a gap, were compared with what had been asked for, over a connection that "
        "nothing troubled; in the end the witness was clean.",
        table=figures.Table(
            ("verb", "called", "given up after four tries, and called again"),
            [(name, f"{n:,}", f"{tally.given_up[name]:,}") for name, n in sorted(tally.verbs.items())]
            + [(f"statements {fault.value}", f"{n:,}", "") for fault, n in faults.items()],
        ),
    )


async def test_i2_i5_i9_no_verb_is_lost_or_done_twice_when_answers_to_commit_are_lost(database_url: str) -> None:
    tally, troubles, _ = await lives(database_url, lambda number, _: number >= LIVES)
    assert sum(t.statements.ambiguous - t.lost_reads for t in troubles) >= 8 * LIVES
    assert min(tally.verbs[name] for name in ("accept", "claim", "freeze", "begin", "conclude")) >= LIVES
    assert_clean(await asyncio.to_thread(ask, database_url, patience=5.0))


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_i2_i5_i9_five_thousand_lost_answers_to_commit_lose_nothing_and_double_nothing(database_url: str) -> None:
    tally, troubles, number = await lives(database_url, lambda _, ambiguous: ambiguous >= 5000)
    assert_clean(await asyncio.to_thread(ask, database_url, patience=30.0))
    told(tally, troubles, number)


async def test_i10_a_deletion_whose_answer_was_lost_is_no_unknown_media(database_url: str) -> None:
    async with troubled(database_url, 0) as (stores, trouble, _):
        user = await stores.user()
        media = await stores.upload(user)
        trouble.statements.plan = once("COMMIT")
        announced = await stores.media.remove(user, media.id)
        assert announced.seq == 2
        assert [e.type for e in await stores.events.after(user, 0)] == ["MEDIA_DELETED", "MEDIA_DELETED"]


async def test_a_cancellation_whose_answer_was_lost_is_granted_though_the_operator_was_faster(
    database_url: str,
) -> None:
    async with troubled(database_url, 0) as (stores, trouble, _), troubled(database_url, 1) as (operator, _, _):
        user = await stores.user()
        media = await stores.upload(user)
        trouble.statements.plan = once("COMMIT")
        asking = asyncio.create_task(stores.media.request_cancel(user, media.id))
        while (await operator.runs.snapshot(media.run_id)).cancel_requested is False:  # type: ignore[union-attr]
            await asyncio.sleep(0)
        concluded = await operator.runs.conclude(media.run_id)
        assert concluded is not None
        assert concluded.status is RunStatus.FAILED
        assert await asking == media.run_id
        with pytest.raises(NotActive):
            await stores.media.request_cancel(user, media.id)


async def test_a_claim_whose_answer_was_lost_is_handed_out_all_the_same(database_url: str) -> None:
    async with troubled(database_url, 0) as (stores, trouble, _):
        media = await stores.upload(await stores.user())
        trouble.statements.plan = once("COMMIT")
        claimed = await stores.outbox.claim(10)
        assert [(w.kind, w.key, w.tries) for w in claimed] == [("create", media.run_id, 1)]
        assert await stores.outbox.claim(10) == []


async def test_i15_a_server_that_falls_silent_in_a_statement_is_given_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drishtiksha.database.session._SLACK", 0.5)
    statements = Statements()
    with FaultProxy.before(database_url, statements.wire) as proxy:
        stores = open_stores(proxy.instead_of(database_url), statement_timeout=0.5)
        user = await stores.user()
        proxy.blackhole()
        looking = asyncio.create_task(stores.users.get(user))
        while not proxy.silent:
            await asyncio.sleep(0.01)
        proxy.heal()
        async with asyncio.timeout(60):
            assert (await looking).id == user
        await stores.database.close()


def once(wanted: str) -> Callable[[str], Fault | None]:
    """The reply to the next statement of this text is lost, but not to a COMMIT of a connection's settings."""
    seen: list[str] = []

    def plan(said: str) -> Fault | None:
        seen.append(said)
        struck = said == wanted and len(seen) > 1 and not seen[-2].startswith("SET ") and "" not in seen
        if struck:
            seen.append("")
        return Fault.REPLY_LOST if struck else None

    return plan
