"""An account of Cloudinary's double: what lies there, and what the two APIs say about it. `cloudinary_double` serves it.

Written from the references of the Upload API and the Admin API, the guidelines for chunked uploads, and the official
SDKs; signatures are checked by the Python SDK's own rule. It is not Cloudinary.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cloudinary import utils as sdk

CLOUD, KEY, SECRET = "double", "123456789012345", "canary-of-the-api-secret"
LEAST_PART = 5 * 1000 * 1000
_HOUR = 3600
_UNSIGNED = {"signature", "api_key", "resource_type", "cloud_name"}


@dataclass
class Asset:
    """One stored file."""

    name: str
    body: bytes
    created: datetime
    version: int

    def told(self) -> dict[str, Any]:
        return {
            "asset_id": hashlib.md5(self.name.encode()).hexdigest(),
            "public_id": self.name,
            "version": self.version,
            "resource_type": "raw",
            "type": "authenticated",
            "created_at": self.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "bytes": len(self.body),
            "etag": hashlib.md5(self.body).hexdigest(),
        }


@dataclass
class Trouble:
    """What is wrong with the next answers to `action`: upload, destroy, explicit, download or resources."""

    action: str
    times: int = 1
    status: int | None = None
    """Refused with this, unheard."""
    message: str = "trouble"
    drip: float = 0.0
    """Seconds between two bytes of the answer."""
    headers: dict[str, str] = field(default_factory=dict)
    silent: float = 0.0
    """Seconds without a word before the answer."""
    lost: bool = False
    """Done as asked, and the connection ends without an answer."""
    half: int | None = None
    """So many bytes of the body, then the connection ends."""
    short: int | None = None
    """So many bytes of the body, as if they were all."""
    junk: bytes | None = None
    """200, with this."""
    edit: dict[str, Any] = field(default_factory=dict)
    """Keys of the answer that say something else."""


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message


@dataclass
class Double:
    """One account."""

    url: str = ""
    assets: dict[str, Asset] = field(default_factory=dict)
    parts: dict[str, bytearray] = field(default_factory=dict)
    """Unfinished uploads, by their X-Unique-Upload-Id."""
    asked: Counter[str] = field(default_factory=Counter)
    invalidated: set[str] = field(default_factory=set)
    secret: str = SECRET
    largest: int = 200_000_000
    page: int = 500
    calls_per_hour: int = 10_000
    """Of the Admin API."""
    knows_ranges: bool = True
    tells_length: bool = True
    trouble: list[Trouble] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def settings(self, folder: str | None = None, url: str | None = None) -> dict[str, str]:
        """The settings of a platform whose bytes lie here."""
        given = {
            "STORAGE_PROVIDER": "cloudinary",
            "CLOUDINARY_CLOUD_NAME": CLOUD,
            "CLOUDINARY_API_KEY": KEY,
            "CLOUDINARY_API_SECRET": SECRET,
            "DRISHTIKSHA_CLOUDINARY_ENDPOINT": url or self.url,
        }
        return given | ({"DRISHTIKSHA_CLOUDINARY_PREFIX": folder} if folder else {})

    def next_trouble(self, action: str) -> Trouble | None:
        with self.lock:
            self.asked[action] += 1
            for one in self.trouble:
                if one.action == action and one.times > 0:
                    one.times -= 1
                    return one
        return None

    # -- the Upload API -----------------------------------------------------------------------------------------------

    def signed(self, given: dict[str, str]) -> None:
        """401 unless the SDK would sign these parameters so, with our secret, within the last hour."""
        if given.get("api_key") != KEY:
            raise Refused(401, f"Unknown API key {given.get('api_key')}")
        what = {name: value for name, value in given.items() if name not in _UNSIGNED}
        if given.get("signature") != sdk.api_sign_request(what, self.secret, sdk.SIGNATURE_SHA1, 2):
            text = sdk.api_string_to_sign(what, 2)
            raise Refused(401, f"Invalid Signature {given.get('signature')}. String to sign - '{text}'.")
        if abs(time.time() - int(given.get("timestamp", "0"))) > _HOUR:
            raise Refused(400, "Stale request")
        if given.get("type") != "authenticated":
            raise Refused(404, f"Resource not found - {given.get('public_id')}")

    def upload(self, given: dict[str, str], file: bytes, window: str | None, upload_id: str | None) -> dict[str, Any]:
        self.signed(given)
        if not file:
            raise Refused(400, "Empty file")
        if window is not None:
            if upload_id is None:
                raise Refused(400, "Missing required header - X-Unique-Upload-Id")
            span, total = window.removeprefix("bytes ").split("/")
            start, end = map(int, span.split("-"))
            last = end + 1 == int(total)
            with self.lock:
                so_far = self.parts.setdefault(upload_id, bytearray())
                if end - start + 1 != len(file) or start > len(so_far):
                    raise Refused(400, "Content-Range does not match the chunk")
                if not last and len(file) <= LEAST_PART:
                    raise Refused(400, "All chunks except the last must be larger than 5mb")
                so_far[start:] = file
                self.fits(len(so_far))
                if not last:
                    return {"done": False, "bytes": len(so_far), "kind": "upload"}
                file = bytes(self.parts.pop(upload_id))
        self.fits(len(file))
        with self.lock:
            name, now = given["public_id"], datetime.now(UTC)
            before = self.assets.get(name)
            created = before.created if before else now
            self.assets[name] = Asset(name, file, created, int(now.timestamp()))
            return self.assets[name].told()

    def fits(self, size: int) -> None:
        if size > self.largest:
            raise Refused(400, f"File size too large. Got {size}. Maximum is {self.largest}.")

    def destroy(self, given: dict[str, str]) -> dict[str, Any]:
        self.signed(given)
        if given.get("invalidate") == "1":
            self.invalidated.add(given["public_id"])
        return {"result": "ok" if self.assets.pop(given["public_id"], None) else "not found"}

    def found(self, given: dict[str, str]) -> Asset:
        self.signed(given)
        if int(given.get("expires_at", time.time() + 1)) <= time.time():
            raise Refused(401, "Link expired")
        asset = self.assets.get(given["public_id"])
        if asset is None:
            raise Refused(404, f"Resource not found - {given['public_id']}")
        return asset

    # -- the Admin API ------------------------------------------------------------------------------------------------

    def resources(self, given: dict[str, str], account: str | None) -> dict[str, Any]:
        if account != "Basic " + base64.b64encode(f"{KEY}:{self.secret}".encode()).decode():
            raise Refused(401, "Invalid credentials")
        if self.asked["resources"] > self.calls_per_hour:
            raise Refused(420, "Rate Limit Exceeded. Limit of calls per hour is used up.")
        size, cursor = min(int(given.get("max_results", "10")), self.page), given.get("next_cursor", "")
        names = sorted(name for name in self.assets if name.startswith(given.get("prefix", "")) and name > cursor)
        told: dict[str, Any] = {"resources": [self.assets[name].told() for name in names[:size]]}
        return told | ({"next_cursor": names[size - 1]} if len(names) > size else {})
