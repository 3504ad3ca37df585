"""Engine.IO by hand, over polling: who says goodbye is let go at once, and so is who was refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from test_sockets import live  # noqa: F401  the api on a port

from drishtiksha_api import sockets

CLOSE, NOOP = "1", "6"
POLLING = {"EIO": "4", "transport": "polling"}


@pytest.mark.parametrize("token", ["good", "bad"])
async def test_a_polling_client_that_leaves_is_not_held(world: Any, live: str, token: str) -> None:  # noqa: F811
    ada = (await world.person())["Authorization"].removeprefix("Bearer ")
    auth = {"token": ada if token == "good" else "x.y.z"}
    async with httpx.AsyncClient(base_url=live, timeout=20) as client:
        opened = await client.get("/socket.io/", params=POLLING)
        session = {**POLLING, "sid": json.loads(opened.text[1:])["sid"]}
        await client.post("/socket.io/", params=session, content="40" + json.dumps(auth))
        greeted = await client.get("/socket.io/", params=session)
        assert greeted.text.startswith("40" if token == "good" else "44")
        waiting = asyncio.create_task(client.get("/socket.io/", params=session))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await client.post("/socket.io/", params=session, content=CLOSE)
        assert (await waiting).text == NOOP


@pytest.mark.parametrize("said", ["good", "bad", "nothing"])
async def test_a_connection_on_which_nobody_is_recognised_is_closed(
    world: Any,
    live: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    said: str,
) -> None:
    monkeypatch.setattr(sockets, "STRANGER_SECONDS", 1.0)
    ada = (await world.person())["Authorization"].removeprefix("Bearer ")
    async with httpx.AsyncClient(base_url=live, timeout=30) as client:

        async def opened() -> dict[str, str]:
            answer = await client.get("/socket.io/", params=POLLING)
            return {**POLLING, "sid": json.loads(answer.text[1:])["sid"]}

        async def ended(session: dict[str, str]) -> None:
            while (await client.get("/socket.io/", params=session)).status_code == 200:
                pass

        session = await opened()
        if said != "nothing":
            auth = {"token": ada if said == "good" else "x.y.z"}
            await client.post("/socket.io/", params=session, content="40" + json.dumps(auth))
        ending = asyncio.create_task(ended(session))
        for _ in range(2):  # strangers who come after her are gone when they are
            await ended(await opened())
        assert ending.done() == (said != "good")
        ending.cancel()
