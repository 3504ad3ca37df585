"""Object storage behind one protocol: where the original bytes and the artifacts of a media are kept.

`local.py` is the store on a disk, `remote.py` the one in a bucket; `providers.py` opens whichever the settings name.
Keys are made by us (`keys.py`), never from anything a client sent. Rows in the database say which objects exist; a
store only keeps bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from drishtiksha.domain.errors import DrishtikshaError


class ObjectMissing(DrishtikshaError):
    """No object is stored under this key."""


@dataclass(frozen=True)
class Stored:
    """What `put` made durable: bytes counted and hashed on their way in (sha256 as lower-case hex)."""

    size: int
    sha256: str


@dataclass(frozen=True)
class ObjectStat:
    """One stored object: its key, its size in bytes, and when it was last written (UTC)."""

    key: str
    size: int
    modified: datetime


class Objects(Protocol):
    """The verbs of object storage. All raise `Unavailable("objects")` when the store does not answer."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Store a stream. When this returns the bytes are durable; when it raises, nothing is left under the key."""
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Stream `length` bytes (None: to the end) from offset `start`. Raises ObjectMissing."""
        ...

    async def stat(self, key: str) -> ObjectStat | None:
        """Size and time of one object, None when there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Remove one object; one that is not there is fine."""
        ...

    def sign(self, key: str, expires: datetime) -> str | None:
        """An address of the store's own that serves the object until `expires`; None when only we can serve it.

        It may ask a neighbour for the key to sign with: call it in a thread.
        """
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectStat]:
        """All objects whose key begins with `prefix`, which ends at a `/`; in no particular order."""
        ...

    async def check(self) -> None:
        """Raises Unavailable when the store could not take an upload now. Asked by `/readyz`, every few seconds."""
        ...

    async def sweep(self, older_than: float) -> int:
        """Remove unfinished writes that nobody touched for `older_than` seconds; how many."""
        ...
