"""Every state that a run can be in, as a way to bring a fresh upload there; some are in the middle of something.

Stands on `twins`; `wishes` makes somebody wish for the end in each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from operator_stage import end_pod
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from twins import Twins

from drishtiksha.database.media import NewMedia
from drishtiksha.database.runs import FrozenModel
from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.kube import Kube

MODELS = ("A", "B")
State = Callable[[Twins, NewMedia], contextlib.AbstractAsyncContextManager[None]]
STATES: dict[str, State] = {}


def state(name: str) -> Callable[[Callable[[Twins, NewMedia], AsyncIterator[None]]], State]:
    """Brings a fresh upload into a state; what is under way at the `yield` ends after the wish."""

    def note(made: Callable[[Twins, NewMedia], AsyncIterator[None]]) -> State:
        STATES[name] = contextlib.asynccontextmanager(made)
        return STATES[name]

    return note


@state("before dispatch")
async def before_dispatch(_twins: Twins, _new: NewMedia) -> AsyncIterator[None]:
    yield


@state("being dispatched")
async def being_dispatched(twins: Twins, _new: NewMedia) -> AsyncIterator[None]:
    kube = twins.dispatchers[0]._resources.kube
    async with held_back(kube, "/mediaanalyses", twins.dispatchers[0].once):
        yield


@state("dispatched")
async def dispatched(twins: Twins, _new: NewMedia) -> AsyncIterator[None]:
    await twins.dispatch()
    yield


@state("waiting for discovery")
async def waiting_for_discovery(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    await twins.dispatch()
    for operator in twins.operators:
        operator.away = True
    await twins.look(new.run_id)
    yield


@state("frozen")
async def frozen(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    await twins.dispatch()
    await twins.stores.runs.freeze(new.run_id, [FrozenModel(m, "1", "default", "service", 3) for m in MODELS])
    yield


@state("waiting for a place")
async def waiting_for_a_place(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    await twins.dispatch()
    for operator in twins.operators:
        full = operator.story.starting.settings.model_copy(update={"max_active_jobs": 0})
        operator.story.starting.settings = full
    await twins.look(new.run_id)
    assert await twins.runners(new.run_id) == []
    yield


@state("attempt without a Job")
async def attempt_without_job(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    async with STATES["frozen"](twins, new):
        await twins.stores.start(new.run_id)
        yield


@state("Jobs being made")
async def jobs_being_made(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    await twins.dispatch()
    operator = twins.operators[0]
    async with held_back(operator.kube, "/jobs", lambda: operator.look(new)):
        yield


@state("Job pending")
async def job_pending(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    await twins.dispatch()
    await twins.look(new.run_id)
    assert len(await twins.jobs(new.run_id)) == len(MODELS)
    yield


@state("started")
async def started(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    async with STATES["Job pending"](twins, new):
        for runner in await twins.runners(new.run_id):
            assert (await runner.begin()).is_success
        yield


@state("artifact being put")
async def artifact_being_put(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    async with STATES["started"](twins, new):
        arriving, go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"half "
            arriving.set()
            await go_on.wait()
            yield b"whole"

        runner = (await twins.runners(new.run_id))[0]
        putting = asyncio.create_task(runner.artifact(b"half whole", body=slowly()))
        await arriving.wait()
        yield
        go_on.set()
        await putting


@state("result being stored")
async def result_being_stored(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    """The door waits in the middle of its transaction, and goes on once the wish waits for it."""
    async with STATES["started"](twins, new):
        runner = (await twins.runners(new.run_id))[0]
        async with AsyncSession(twins.stores.database.engine) as holder:
            await holder.execute(text("SELECT 1 FROM attempts WHERE id = :id FOR UPDATE"), {"id": runner.attempt})
            storing = asyncio.create_task(runner.result())
            await until_waiting(twins, 1)
            releasing = asyncio.create_task(release(twins, holder))
            yield
            await releasing
        await storing


@state("one result in")
async def one_result_in(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    async with STATES["started"](twins, new):
        assert (await (await twins.runners(new.run_id))[0].result()).is_success
        yield


@state("retry waiting")
async def retry_waiting(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    async with STATES["started"](twins, new):
        for runner in await twins.runners(new.run_id):
            assert (await runner.failure()).is_success
            await end_pod(twins.admin, runner.job, 69, reason="Error", namespace=twins.namespace)
        async with asyncio.timeout(30):
            while (
                len(await twins.sql("SELECT 1 FROM analyses WHERE run_id = :run AND retry_at > now()", run=new.run_id))
                < 2
            ):
                await twins.look(new.run_id)
        yield


@state("all done, not concluded")
async def all_done(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    async with STATES["started"](twins, new):
        for runner in await twins.runners(new.run_id):
            assert (await runner.result()).is_success
        yield


@state("concluded")
async def concluded(twins: Twins, new: NewMedia) -> AsyncIterator[None]:
    async with STATES["all done, not concluded"](twins, new):
        await twins.look(new.run_id)
        assert await twins.stores.status(new.run_id) == "ANALYZED"
        yield


@contextlib.asynccontextmanager
async def held_back(kube: Kube, path: str, act: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    """`act` has come to its first POST to `path`, which leaves when the block ends."""
    reached, gate, send = asyncio.Event(), asyncio.Event(), kube._send

    async def held(request: Any) -> bytes:
        if request.method == "POST" and request.path.endswith(path):
            reached.set()
            await gate.wait()
        return await send(request)

    kube._send = held  # type: ignore[method-assign]
    acting = asyncio.ensure_future(act())
    try:
        await asyncio.wait_for(reached.wait(), 20)
        yield
    finally:
        gate.set()
        kube._send = send  # type: ignore[method-assign]
        with contextlib.suppress(DrishtikshaError):  # the queue would look again
            await acting


async def until_waiting(twins: Twins, number: int, seconds: float = 10.0) -> None:
    """So many transactions of this database wait for a lock, or the time is over."""
    waiting = (
        "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE NOT l.granted AND a.datname = current_database()"
    )
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await twins.sql(waiting))[0][0] < number:
                await asyncio.sleep(0.02)


async def release(twins: Twins, holder: AsyncSession) -> None:
    await until_waiting(twins, 2, seconds=1.0)  # a kubectl waits for no row
    await holder.rollback()
