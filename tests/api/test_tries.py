"""How often a password may be tried: per account and address, for all replicas together, and never without a limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import bcrypt
import httpx
import pytest
from sqlalchemy import text

from drishtiksha.bus import Bus
from drishtiksha_api.addresses import _household, _outermost
from drishtiksha_api.throttle import Throttle

AUTH = "/api/v1/auth"
PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


async def tries(world: Any, email: str, times: int, password: str = "wrong one", **headers: str) -> list[int]:
    body = {"email": email, "password": password}
    return [(await world.client.post(f"{AUTH}/login", json=body, headers=headers)).status_code for _ in range(times)]


async def test_the_eleventh_wrong_password_in_ten_minutes_is_not_looked_at(world: Any) -> None:
    await world.person()
    email = world.people[0]
    assert await tries(world, email, 11) == [401] * 10 + [429]
    refused = await world.client.post(f"{AUTH}/login", json={"email": email.upper(), "password": "correct horse"})
    assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
    assert 500 < int(refused.headers["retry-after"]) <= 600
    assert await tries(world, "somebody.else@example.org", 1) == [401]


async def test_many_tries_at_once_are_as_many(world: Any) -> None:
    await world.person()
    body = {"email": world.people[0], "password": "wrong one"}
    answers = await asyncio.gather(*(world.client.post(f"{AUTH}/login", json=body) for _ in range(40)))
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 30


async def test_a_right_password_forgives_the_wrong_ones(world: Any) -> None:
    await world.person()
    for _ in range(3):
        assert await tries(world, world.people[0], 9) == [401] * 9
        assert await tries(world, world.people[0], 1, "correct horse") == [200]


async def test_the_current_password_cannot_be_guessed_with_a_stolen_token(world: Any) -> None:
    ada = await world.person()
    body = {"currentPassword": "guess", "newPassword": "battery staple"}
    answers = [await world.client.put(f"{AUTH}/profile/password", headers=ada, json=body) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


async def test_one_address_behind_our_proxy_does_not_use_up_the_tries_of_another(world: Any) -> None:
    world.api.rest.state.trusted_proxies = (ip_network("127.0.0.0/8"),)
    await world.person()
    email = world.people[0]
    assert await tries(world, email, 11, **{"X-Forwarded-For": "203.0.113.7"}) == [401] * 10 + [429]
    assert await tries(world, email, 1, **{"X-Forwarded-For": "203.0.113.8"}) == [401]
    assert await tries(world, email, 1, **{"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}) == [429]  # forged


WALKS = [
    ("203.0.113.7", "", "203.0.113.7"),
    ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # no proxy of ours: what it says is worth nothing
    ("10.1.2.3", "", "10.1.2.3"),
    ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
    ("10.1.2.3", "6.6.6.6, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
    ("10.1.2.3", "198.51.100.1, nonsense", "10.1.2.3"),
    ("fd00::1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
    ("2001:db8:1:2:ffff::1", "", "2001:db8:1:2::/64"),
    ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"),
    ("", "198.51.100.1", "unknown"),
]


@pytest.mark.parametrize(("peer", "forwarded", "client"), WALKS)
def test_the_client_is_the_first_hop_that_is_not_ours(peer: str, forwarded: str, client: str) -> None:
    assert _household(_outermost(peer, forwarded.split(","), PROXIES)) == client


@pytest.fixture
async def throttles(redis_url: str) -> AsyncIterator[list[Throttle]]:
    """Of two replicas, for five tries in a minute."""
    buses = [Bus(redis_url), Bus(redis_url)]
    yield [Throttle(bus, b"k" * 32, amount=5, seconds=60) for bus in buses]
    for bus in buses:
        await bus.close()


async def test_two_replicas_count_together(throttles: list[Throttle]) -> None:
    first, second = throttles
    waits = [await throttle.take("ada", "here") for throttle in (first, second) * 3]
    assert waits[:5] == [None] * 5
    assert waits[5] is not None
    await second.forgive("ada", "here")
    assert await first.take("ada", "here") is None


async def test_without_redis_each_process_counts_alone_and_still_has_a_limit() -> None:
    bus = Bus("redis://127.0.0.1:1/0")
    throttle = Throttle(bus, b"k" * 32, amount=5, seconds=60)
    waits = [await throttle.take("ada", "here") for _ in range(7)]
    assert waits[:5] == [None] * 5
    assert all(wait and wait <= 60 for wait in waits[5:])
    await throttle.forgive("ada", "here")
    assert await throttle.take("ada", "here") is None
    await bus.close()


async def test_redis_learns_neither_address_nor_account(world: Any, redis_url: str) -> None:
    await world.person()
    await tries(world, world.people[0], 1)
    keys = [key async for key in world.around.bus.redis.scan_iter("*")]
    assert any("tries" in key for key in keys)
    assert not any(world.people[0] in key or "127.0.0.1" in key for key in keys)


async def test_an_imported_bcrypt_hash_verifies_and_is_replaced_at_login(world: Any) -> None:
    await world.person()
    email = world.people[0]
    for kind in (b"2a", b"2b"):
        for password in ("correct horse", "ü" * 60):
            old = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4, kind)).decode()
            await _set_hash(world, email, old)
            assert await tries(world, email, 1, "wrong one") == [401]
            assert await _hash(world, email) == old
            assert await tries(world, email, 2, password) == [200, 200]
            assert (await _hash(world, email)).startswith("$argon2id$")
            assert await tries(world, email, 1, password[:-1] + "?") == [401]


async def test_a_hash_of_no_known_kind_lets_nobody_in(world: Any) -> None:
    await world.person()
    for broken in ("", "plain", "$2b$04$" + "." * 53, "$2b$99$" + "a" * 53):
        await _set_hash(world, world.people[0], broken)
        assert await tries(world, world.people[0], 1, "plain") == [401]


async def test_a_flood_of_logins_is_told_to_come_back(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drishtiksha_api.passwords._WAITING", 3)
    pool_is_free = threading.Event()
    passwords = world.api.rest.state.passwords
    busy = [asyncio.create_task(passwords._in_pool(lambda: pool_is_free.wait(30))) for _ in range(2)]
    await asyncio.sleep(0)

    async def one(number: int) -> httpx.Response:
        body = {"email": f"{number}@example.org", "password": "wrong one"}
        answer: httpx.Response = await world.client.post(f"{AUTH}/login", json=body)
        if answer.status_code == 429:
            pool_is_free.set()
        return answer

    answers = await asyncio.gather(*(one(number) for number in range(30)))
    assert await asyncio.gather(*busy) == [True, True]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert all(a.headers["retry-after"] == "5" for a in answers if a.status_code == 429)


async def _set_hash(world: Any, email: str, hashed: str) -> None:
    async with world.around.database.engine.begin() as connection:
        change = text("UPDATE users SET password_hash = :hash WHERE email = :email")
        await connection.execute(change, {"hash": hashed, "email": email})


async def _hash(world: Any, email: str) -> str:
    async with world.around.database.engine.begin() as connection:
        found = await connection.execute(text("SELECT password_hash FROM users WHERE email = :email"), {"email": email})
        return str(found.scalar_one())
