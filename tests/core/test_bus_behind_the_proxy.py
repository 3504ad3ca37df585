"""The bus behind the fault proxy: nobody waits for Redis for long, and a listener learns of every gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fault_proxy import FaultProxy

from drishtiksha import bus as rooms
from drishtiksha.bus import Bus

LONG = 60.0
"""Seconds that nothing here may take."""


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[tuple[Bus, FaultProxy]]:
    with FaultProxy.before(redis_url) as proxy:
        made = Bus(proxy.instead_of(redis_url), timeout=0.5)
        yield made, proxy
        await made.close()


@pytest.mark.parametrize("how", ["refuse", "reset", "blackhole"])
@pytest.mark.parametrize("warm", [True, False])
async def test_i15_publishing_and_asking_end_in_time_however_redis_is_away(
    bus: tuple[Bus, FaultProxy], how: str, warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, proxy = bus
    if warm:
        assert await made.publish(rooms.RUNS, {"runId": "a"})
    getattr(proxy, how)()
    tries = 0
    began = asyncio.get_running_loop().time()
    assert await made.publish(rooms.RUNS, {"runId": "b"}) is False
    assert await made.ping() is False
    # Two calls of half a second, whatever the library tries by itself.
    assert asyncio.get_running_loop().time() - began < 20.0
    proxy.heal()
    monkeypatch.setattr(made, "_mute_until", 0.0)
    async with asyncio.timeout(LONG):
        while not await made.publish(rooms.RUNS, {"runId": "c"}):
            monkeypatch.setattr(made, "_mute_until", 0.0)
            tries += 1
    assert tries <= 2


async def test_a_listener_is_told_of_every_new_connection_for_something_may_have_been_missed(
    bus: tuple[Bus, FaultProxy], redis_url: str
) -> None:
    made, proxy = bus
    direct = Bus(redis_url)
    heard = made.listen(rooms.RUNS)
    async with asyncio.timeout(LONG):
        assert await anext(heard) is None
        await direct.wake_run("before")
        assert await anext(heard) == (rooms.RUNS, {"runId": "before"})
        following = asyncio.ensure_future(anext(heard))
        await asyncio.sleep(0.1)
        proxy.cut_all()
        assert await following is None
        await direct.wake_run("after")
        assert await anext(heard) == (rooms.RUNS, {"runId": "after"})
    await heard.aclose()  # type: ignore[attr-defined]
    await direct.close()


@pytest.mark.parametrize("how", ["blackhole", "half-open"])
async def test_i15_a_listener_whose_connection_has_fallen_silent_makes_a_new_one(
    bus: tuple[Bus, FaultProxy], redis_url: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "_QUIET", 0.5)
    made, proxy = bus
    direct = Bus(redis_url)
    heard = made.listen(rooms.RUNS)
    async with asyncio.timeout(LONG):
        assert await anext(heard) is None
        following = asyncio.ensure_future(anext(heard))
        await asyncio.sleep(2.0)  # quiet, and asked, and answered: that is no reason
        assert not following.done()
        assert proxy.accepted == 1
        if how == "blackhole":
            proxy.blackhole()
            while not proxy.silent:
                await asyncio.sleep(0.05)
            proxy.heal()
        else:
            proxy.half_open("server")
        assert await following is None
        await direct.wake_run("after")
        assert await anext(heard) == (rooms.RUNS, {"runId": "after"})
    await heard.aclose()  # type: ignore[attr-defined]
    await direct.close()
