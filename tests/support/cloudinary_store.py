"""A store at Cloudinary's double, and what its tests do with it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cloudinary_account import CLOUD, KEY, SECRET

from drishtiksha.objects import Objects, keys
from drishtiksha.objects.cloudinary import PART, CloudinaryObjects
from drishtiksha.objects.cloudinary_wire import Account
from drishtiksha.objects.patience import Patience

MEDIA = "01890000-0000-7000-8000-00000000000a"
ORIGINAL = keys.original(MEDIA)
NAME = f"here/{ORIGINAL}"
LARGE = 2 * PART + 1_000_000
"""Bytes: three parts."""
SHORT = Patience(connect=0.3, request=0.4, retries=1, retry_until=1.0, call=1.2)
LONG = Patience(request=10.0, retries=1, retry_until=2.0, call=20.0)
TRIES = LONG.retries + 1


def store(url: str, secret: str = SECRET, cloud: str = CLOUD, patience: Patience = LONG) -> CloudinaryObjects:
    return CloudinaryObjects(Account(cloud, KEY, secret, url), "here", patience)


async def stream(data: bytes, step: int = 300_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


async def read(objects: Objects, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([block async for block in objects.get(ORIGINAL, start, length)])


async def listed(objects: Objects, prefix: str = keys.MEDIA) -> dict[str, int]:
    return {found.key: found.size async for found in objects.list(prefix)}
