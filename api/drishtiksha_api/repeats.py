"""Idempotency-Key: a request that may be sent again, and is carried out once.

Of what was accepted the answer comes again, with links that are alive; of what was refused nothing is remembered, so
that the same bytes are refused for the same reason, and a full quota or a busy media may be tried again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import structlog
from fastapi import Request

from drishtiksha.database.idempotency import Claim, Claims, Made
from drishtiksha.domain.errors import DrishtikshaError

from .principal import Principal
from .problems import Problem, invalid

log = structlog.get_logger()

HEADER = "Idempotency-Key"
REPLAYED = {"Idempotency-Replayed": "true"}
FRESHEN_SECONDS = 15.0
"""Between two words that a request is still at work."""
_VISIBLE = re.compile(r"^[\x21-\x7e]{1,255}$")


class Repeat:
    """A request with a key. `made`: what an earlier one with the same key has made already."""

    def __init__(self, claim: Claim | None, made: Made | None) -> None:
        self.claim = claim
        self.made = made

    def same(self, **asked: Any) -> str:
        """The fingerprint of what is asked for. Raises Problem IDEMPOTENCY_MISMATCH when the first asked for other things."""
        fingerprint = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        if self.made is not None and self.made.fingerprint != fingerprint:
            message = "This Idempotency-Key was used for another request. Use a new key for a new request."
            raise Problem("IDEMPOTENCY_MISMATCH", message)
        return fingerprint


@asynccontextmanager
async def repeatable(request: Request, caller: Principal, route: str) -> AsyncIterator[Repeat]:
    """Claim the request's key for the time of the block; free it when the block ends without having made anything.

    Raises InFlight, and Problem VALIDATION for a key that is none.
    """
    offered = request.headers.getlist(HEADER)
    if not offered:
        yield Repeat(None, None)
        return
    if len(offered) > 1 or not _VISIBLE.match(offered[0]):
        raise invalid(HEADER, "One key of 1 to 255 visible ASCII characters is expected.")
    claims = cast(Claims, request.app.state.claims)
    claim = Claim(caller.user_id, route, offered[0])
    made = await claims.begin(claim)
    if made is not None:
        yield Repeat(None, made)
        return
    freshening = asyncio.create_task(_freshen(claims, claim))
    try:
        yield Repeat(claim, None)
    except BaseException:
        with suppress(DrishtikshaError):  # then it goes stale
            await asyncio.shield(claims.release(claim))
        raise
    finally:
        freshening.cancel()


async def _freshen(claims: Claims, claim: Claim) -> None:
    while True:
        await asyncio.sleep(FRESHEN_SECONDS)
        try:
            await claims.keep(claim)
        except DrishtikshaError as error:
            log.warning("a request could not say that it is still at work", error=str(error))
