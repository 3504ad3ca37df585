"""Who is calling: a user, recognised by her token before a byte of the body is read.

A good signature is not enough: the session's row must be alive and of the user's current generation.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from drishtiksha.database.tables import User
from drishtiksha.database.users import Users

from .cookies import Cookies
from .problems import Problem
from .tokens import Tokens


@dataclass(frozen=True)
class Principal:
    """The caller, what she may do, and by which token."""

    user: User
    session_id: uuid.UUID
    expires: float
    """When the token ends by itself; seconds since the epoch."""
    scopes: frozenset[str] = field(default=frozenset({"*"}))

    @property
    def user_id(self) -> uuid.UUID:
        """Whose things these are."""
        return self.user.id


class Doorkeeper:
    """Turns tokens into principals; used by the routes and by the Socket.IO handshake."""

    def __init__(self, tokens: Tokens, users: Users) -> None:
        self._tokens = tokens
        self._users = users

    async def recognise(self, token: str) -> Principal:
        """Raises Problem TOKEN_INVALID or TOKEN_EXPIRED."""
        claims = self._tokens.read(token)
        user = await self._users.holder(claims.session_id)
        if user is None or user.id != claims.user_id:
            raise Problem("TOKEN_INVALID", "Invalid token")
        return Principal(user, claims.session_id, claims.expires)

    async def alive(self, sessions: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Those of these sessions whose tokens are still good."""
        return await self._users.alive(sessions)

    async def recognise_one(self, tokens: Sequence[str]) -> Principal:
        """By the first of several tokens that is good. Raises what `recognise` says of the first, if none is."""
        refused: Problem | None = None
        for token in tokens:
            try:
                return await self.recognise(token)
            except Problem as problem:
                refused = refused or problem
        raise refused or no_token()


def no_token() -> Problem:
    """Nobody said who is calling."""
    return Problem("TOKEN_MISSING", "Access token is required")


def offered_token(header: str | None) -> str:
    """The token of an Authorization header, `Bearer …` or raw. Raises Problem TOKEN_MISSING."""
    words = (header or "").split()
    if words and words[0].lower() == "bearer":
        words = words[1:]
    if len(words) > 1:
        raise Problem("TOKEN_INVALID", "Invalid token")
    if not words:
        raise no_token()
    return words[0]


_SCHEME = HTTPBearer(scheme_name="token", bearerFormat="JWT", auto_error=False)
"""Only for the OpenAPI document; a raw token is taken too."""


async def recognised(request: Request, _described: Annotated[object, Depends(_SCHEME)] = None) -> Principal:
    """The dependency of every route that needs a token. A bad header is not healed by a good cookie."""
    doorkeeper, header = cast(Doorkeeper, request.app.state.doorkeeper), request.headers.get("authorization", "")
    if header.strip():
        return await doorkeeper.recognise(offered_token(header))
    return await doorkeeper.recognise_one(cast(Cookies, request.app.state.cookies).offered(request))


Caller = Annotated[Principal, Depends(recognised)]
"""The parameter of a route that needs a token. It comes before any parameter that reads the body."""
