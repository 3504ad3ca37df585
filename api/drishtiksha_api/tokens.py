"""Access tokens of people: JWT, HS256 only, every claim required on reading.

A token is only half the proof: `principal.py` also asks for its session's row and the user's generation.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from .problems import Problem

ISSUER = AUDIENCE = "drishtiksha"
_REQUIRED = ("sub", "userId", "gen", "iat", "exp", "jti", "iss", "aud")


@dataclass(frozen=True)
class Claims:
    """What a good token says: whose it is, its own id, the generation of the user's tokens that it belongs to, and when
    it ends (seconds since the epoch)."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    generation: int
    expires: float


class Tokens:
    """Mints and reads. `secret` has at least 32 bytes; `lifetime` in seconds."""

    def __init__(self, secret: str, lifetime: float) -> None:
        self._secret = secret
        self.lifetime = timedelta(seconds=lifetime)

    def mint(
        self, *, user_id: uuid.UUID, email: str, role: str, generation: int, session_id: uuid.UUID, now: datetime
    ) -> str:
        """A token that is good until now + lifetime."""
        claims = {
            "sub": str(user_id), "userId": str(user_id), "email": email, "role": role, "gen": generation,
            "iat": now, "exp": now + self.lifetime, "jti": str(session_id), "iss": ISSUER, "aud": AUDIENCE,
        }  # fmt: skip
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def key_for(self, purpose: str) -> bytes:
        """A key for something else than tokens, the same in every replica."""
        return hmac.new(self._secret.encode(), purpose.encode(), hashlib.sha256).digest()

    def read(self, token: str) -> Claims:
        """The claims of a token of ours. Raises Problem TOKEN_EXPIRED or TOKEN_INVALID."""
        try:
            said = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": list(_REQUIRED)},
            )
            if said["sub"] != said["userId"]:
                raise ValueError("two users")
            generation, expires = _whole(said["gen"]), _whole(said["exp"])
            return Claims(uuid.UUID(said["userId"]), uuid.UUID(said["jti"]), generation, float(expires))
        except jwt.ExpiredSignatureError:
            raise Problem("TOKEN_EXPIRED", "Invalid token") from None
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise Problem("TOKEN_INVALID", "Invalid token") from None


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("no whole number")
    return value
