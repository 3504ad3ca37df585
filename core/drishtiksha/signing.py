"""What we sign: attempt tokens for runners, links to bytes for people, and a key per run for sidecar models.

All keys are derived by HKDF-SHA256 (RFC 5869) from DRISHTIKSHA_SIGNING_KEYS, one subkey per purpose. The first key
signs, all verify. There is no time in an attempt token: the row decides whether it is still good.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import uuid
from dataclasses import dataclass
from datetime import datetime

_TOKEN = b"drishtiksha attempt token v1"
_LINK = b"drishtiksha media link v1"
_ML_KEY = b"drishtiksha run ml key v1"


def _hkdf(secret: bytes, purpose: bytes) -> bytes:
    extracted = hmac.new(b"\x00" * 32, secret, hashlib.sha256).digest()
    return hmac.new(extracted, purpose + b"\x01", hashlib.sha256).digest()


def _mac(key: bytes, text: str) -> str:
    return base64.urlsafe_b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")


@dataclass(frozen=True)
class Link:
    """The query parameters that make a link to bytes good: expiry (Unix seconds), key id, signature."""

    expires: int
    key_id: str
    signature: str


class SigningKeys:
    """The ring of keys. `spec` is `id:secret,…` as the setting gives it."""

    def __init__(self, spec: str) -> None:
        pairs = (part.strip().partition(":") for part in spec.split(",") if part.strip())
        self._keys = {key_id: secret.encode() for key_id, _, secret in pairs}
        if not self._keys:
            raise ValueError("at least one signing key is needed")
        self._first = next(iter(self._keys))

    def __repr__(self) -> str:
        return f"SigningKeys({', '.join(self._keys)})"

    def attempt_token(self, attempt_id: uuid.UUID) -> str:
        """`v1.<key id>.<attempt id>.<HMAC-SHA256>`: the same string whenever it is asked for."""
        body = f"v1.{self._first}.{attempt_id}"
        return f"{body}.{_mac(_hkdf(self._keys[self._first], _TOKEN), body)}"

    def read_attempt_token(self, token: str) -> uuid.UUID | None:
        """The attempt that a token stands for; None when it was not signed by one of our keys."""
        version, _, rest = token.partition(".")
        key_id, _, rest = rest.partition(".")
        attempt, _, signature = rest.partition(".")
        secret = self._keys.get(key_id)
        if version != "v1" or secret is None or not token.isascii():
            return None
        expected = _mac(_hkdf(secret, _TOKEN), f"v1.{key_id}.{attempt}")
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return None
        try:
            return uuid.UUID(attempt)
        except ValueError:
            return None

    def run_ml_key(self, run_id: uuid.UUID) -> str:
        """The API key that a run's runner and its sidecar model share."""
        return _mac(_hkdf(self._keys[self._first], _ML_KEY), str(run_id))

    def link(self, subject: str, expires: int) -> Link:
        """Sign the right to read `subject` (an object's public path) until `expires`. Deterministic."""
        return Link(expires, self._first, _mac(_hkdf(self._keys[self._first], _LINK), f"{subject}\n{expires}"))

    def link_is_good(self, subject: str, link: Link, now: float) -> bool:
        """Whether the signature is ours and the time has not passed."""
        secret = self._keys.get(link.key_id)
        if secret is None or now > link.expires or not link.signature.isascii():
            return False
        expected = _mac(_hkdf(secret, _LINK), f"{subject}\n{link.expires}")
        return hmac.compare_digest(expected.encode(), link.signature.encode())


def link_expiry(created_at: datetime, now: datetime, lifetime: float) -> int:
    """When a link handed out now ends: the next full hour counted from the media's creation, plus `lifetime` seconds.

    So a link is the same string for an hour at a time, and does not change in the hour after the upload.
    """
    hours = max(1, math.ceil((now - created_at).total_seconds() / 3600))
    return int(created_at.timestamp()) + hours * 3600 + int(lifetime)
