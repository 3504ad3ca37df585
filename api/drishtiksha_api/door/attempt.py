"""Who is calling the door: the attempt that an attempt token stands for."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Request

from drishtiksha_api.neighbours import neighbours_of
from drishtiksha_api.principal import offered_token
from drishtiksha_api.problems import Problem


async def signed_attempt(request: Request) -> uuid.UUID:
    """The attempt's id, by the signature alone; whether it may still write is decided by its row."""
    token = offered_token(request.headers.get("authorization"))
    attempt_id = neighbours_of(request).keys.read_attempt_token(token)
    if attempt_id is None:
        raise Problem("TOKEN_INVALID", "Invalid token")
    return attempt_id


AttemptId = Annotated[uuid.UUID, Depends(signed_attempt)]
"""The parameter of every route of the door; it comes before anything that reads the body."""
