"""The queue's promises: each key once, one at a time, and a poison key delays nobody."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog.testing

from drishtiksha_operator.queue import KeyQueue, Story


@asynccontextmanager
async def workers(queue: KeyQueue, story: Story, count: int = 3) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(queue.work(story)) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        queue.stop()


async def until(fact: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not fact():
            await asyncio.sleep(0.005)


async def test_a_key_added_often_before_a_worker_comes_is_looked_at_once() -> None:
    queue, seen = KeyQueue(), []

    async def story(key: str) -> None:
        seen.append(key)

    for _ in range(5):
        queue.add("a")
    queue.add("b")
    async with workers(queue, story):
        await until(lambda: len(seen) >= 2)
        await asyncio.sleep(0.02)
    assert seen == ["a", "b"]


async def test_a_key_is_never_looked_at_by_two_workers_and_a_late_event_makes_one_more_look() -> None:
    queue, looks, inside, most = KeyQueue(), 0, 0, 0
    gate = asyncio.Event()

    async def story(_key: str) -> None:
        nonlocal looks, inside, most
        inside += 1
        looks, most = looks + 1, max(most, inside)
        await gate.wait()
        inside -= 1

    async with workers(queue, story):
        queue.add("a")
        await until(lambda: looks == 1)
        for _ in range(4):
            queue.add("a")
        gate.set()
        await until(lambda: looks == 2)
        await asyncio.sleep(0.02)
    assert (looks, most) == (2, 1)


async def test_a_key_that_fails_for_ever_delays_no_other_and_is_tried_with_growing_pauses() -> None:
    queue, times, good = KeyQueue(backoff=0.2, ceiling=5), [], []

    async def story(key: str) -> None:
        if key == "poison":
            times.append(asyncio.get_running_loop().time())
            queue.add("poison")  # events keep coming
            raise RuntimeError("no")
        good.append(key)

    with structlog.testing.capture_logs():
        async with workers(queue, story, count=1):
            queue.add("poison")
            for n in range(20):
                queue.add(str(n))
            await until(lambda: len(good) == 20)
            assert len(times) <= 2, "the poison key took turns from others"
            await until(lambda: len(times) >= 4)
            assert queue.failing == 1
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses[2] > pauses[0]


async def test_a_key_that_recovers_is_no_longer_failing() -> None:
    queue, tries = KeyQueue(backoff=0.01), 0

    async def story(_key: str) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RuntimeError("not yet")

    async with workers(queue, story):
        queue.add("a")
        await until(lambda: tries == 3 and queue.failing == 0)


async def test_the_earliest_of_several_later_looks_counts() -> None:
    queue, seen = KeyQueue(), []

    async def story(key: str) -> None:
        seen.append(key)

    async with workers(queue, story):
        queue.add_after("a", 30)
        queue.add_after("a", 0.01)
        queue.add_after("a", 20)
        await until(lambda: seen == ["a"])
        await asyncio.sleep(0.03)
    assert seen == ["a"]


async def test_a_story_may_ask_for_its_next_look() -> None:
    queue, seen = KeyQueue(), []

    async def story(key: str) -> float | None:
        seen.append(key)
        return 0.01 if len(seen) < 3 else None

    async with workers(queue, story):
        queue.add("a")
        await until(lambda: len(seen) == 3)
        await asyncio.sleep(0.03)
    assert len(seen) == 3


async def test_the_age_of_the_head_tells_that_no_worker_comes() -> None:
    queue = KeyQueue()
    assert queue.head_age() == 0
    queue.add("a")
    await asyncio.sleep(0.02)
    queue.add("b")
    assert queue.head_age() >= 0.02
    assert queue.depth == 2


async def test_a_burst_of_events_about_one_key_is_two_looks() -> None:
    queue, seen = KeyQueue(rest=0.5), []

    async def story(key: str) -> None:
        seen.append(key)

    async with workers(queue, story):
        queue.add("a")
        await until(lambda: seen == ["a"])
        for _ in range(10):
            queue.add("a")
            await asyncio.sleep(0)
        queue.add("b")
        await until(lambda: "b" in seen)
        await until(lambda: seen.count("a") == 2)
        await asyncio.sleep(0.6)
    assert seen.count("a") == 2
    assert seen.index("b") == 1
