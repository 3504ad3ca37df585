"""Engine.IO by hand, over polling: who says goodbye is let go at once, and so is who was refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from test_sockets import live  # noqa: F401  the api on a port

CLOSE, NOOP = "1", "6"


@pytest.mark.parametrize("token", ["good", "bad"])
async def test_a_polling_client_that_leaves_is_not_held(world: Any, live: str, token: str) -> None:  # noqa: F811
    ada = (await world.person())["Authorization"].removeprefix("Bearer ")
    auth = {"token": ada if token == "good" else "x.y.z"}
    async with httpx.AsyncClient(base_url=live, timeout=20) as client:
        opened = await client.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
        session = {"EIO": "4", "transport": "polling", "sid": json.loads(opened.text[1:])["sid"]}
        await client.post("/socket.io/", params=session, content="40" + json.dumps(auth))
        greeted = await client.get("/socket.io/", params=session)
        assert greeted.text.startswith("40" if token == "good" else "44")
        waiting = asyncio.create_task(client.get("/socket.io/", params=session))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await client.post("/socket.io/", params=session, content=CLOSE)
        assert (await waiting).text == NOOP
