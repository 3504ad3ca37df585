"""Links to bytes: absolute addresses that carry their own permission, the same string for an hour at a time."""

from __future__ import annotations

import uuid
from datetime import datetime
from urllib.parse import urlencode

from drishtiksha.signing import Link, SigningKeys, link_expiry

from .problems import Problem

PREFIX = "/api/v1/media/content"


class Links:
    """Makes and checks links of this platform. `lifetime` in seconds beyond the next full hour of a media."""

    def __init__(self, keys: SigningKeys, base_url: str, lifetime: float) -> None:
        self._keys = keys
        self.base = base_url
        self._lifetime = lifetime

    def media(self, media_id: uuid.UUID, created_at: datetime, now: datetime) -> str:
        """The original bytes of a media."""
        return self._signed(f"{PREFIX}/{media_id}", created_at, now)

    def artifact(self, media_id: uuid.UUID, artifact_id: uuid.UUID, created_at: datetime, now: datetime) -> str:
        """An artifact of a media that was created at `created_at`."""
        return self._signed(f"{PREFIX}/{media_id}/artifacts/{artifact_id}", created_at, now)

    def _signed(self, path: str, created_at: datetime, now: datetime) -> str:
        link = self._keys.link(path, link_expiry(created_at, now, self._lifetime))
        query = urlencode({"expires": link.expires, "key": link.key_id, "signature": link.signature})
        return f"{self.base}{path}?{query}"

    def check(self, path: str, *, expires: str, key: str, signature: str, now: float) -> None:
        """Raise Problem when the link is not ours (TOKEN_INVALID) or its time has passed (TOKEN_EXPIRED)."""
        if not (expires.isascii() and expires.isdigit() and len(expires) < 12):
            raise Problem("TOKEN_INVALID", "Invalid token")
        link = Link(int(expires), key, signature)
        if self._keys.link_is_good(path, link, now):
            return
        if self._keys.link_is_good(path, link, 0.0):
            raise Problem("TOKEN_EXPIRED", "Invalid token")
        raise Problem("TOKEN_INVALID", "Invalid token")
