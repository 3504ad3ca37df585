"""Long polls: an answer that waits until the status of a media has changed, or the caller's patience is over.

A caller with an older version (If-None-Match) is answered at once, and so is one without any when the run is final.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from fastapi import Request
from fastapi.responses import Response

from drishtiksha.database.media_search import Library, Standing
from drishtiksha.database.users import Users

from .principal import Principal
from .problems import Problem
from .waiters import Waiter, Waiters, unless_left

MAX_WAIT = 60
"""Seconds."""
Now = Callable[[], Awaitable[Response]]
"""Makes the answer from what is there now; 304 when the caller has it."""


def preferred(prefer: Sequence[str]) -> int | None:
    """Seconds of `wait=` in Prefer headers (RFC 7240), at most MAX_WAIT; what we do not understand is ignored."""
    for preference in ",".join(prefer).split(","):
        name, _, value = preference.split(";")[0].partition("=")
        said = value.strip().strip('"')
        if name.strip().lower() == "wait" and said.isascii() and said.isdigit():
            return min(int(said[:9]), MAX_WAIT) or None
    return None


async def when_changed(request: Request, caller: Principal, media_id: uuid.UUID, seconds: int, now: Now) -> Response:
    """The answer after a wait. Raises NotFound, ClientDisconnect, or Problem: too many wait, the token died meanwhile."""
    state = request.app.state
    library, users = cast(Library, state.library), cast(Users, state.users)
    with cast(Waiters, state.waiters).place(caller.user_id) as waiter:
        known = await library.standing(caller.user_id, media_id)  # before the answer: what changes in between is seen
        if "if-none-match" in request.headers:
            answer = await now()
            if answer.status_code != 304:
                return answer
        elif known.final:
            return await now()
        await unless_left(request.receive, _until_changed(waiter, library, caller.user_id, media_id, known, seconds))
    if await users.holder(caller.session_id) is None:
        raise Problem("TOKEN_INVALID", "Invalid token")
    return await now()


async def _until_changed(
    waiter: Waiter, library: Library, user_id: uuid.UUID, media_id: uuid.UUID, known: Standing, seconds: int
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not waiter.over and (left := end - loop.time()) > 0:
        await waiter.woken(left)
        if await library.standing(user_id, media_id) != known:
            return
