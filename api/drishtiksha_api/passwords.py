"""Passwords: argon2id in a small pool of threads, and the same time spent on an account that does not exist.

Accounts that were brought along from the predecessor have bcrypt hashes; those are replaced at the first login.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from .problems import Problem

_MEMORY_KIB, _PASSES = 12_288, 3
"""Of the settings that OWASP holds for equally strong the one with 12 MiB: two at a time fit the process's memory."""
_BCRYPT_BYTES = 72
"""Bcrypt reads no more of a password; other libraries cut it off silently, this one refuses."""
_WAITING = 100
"""Hashes that may wait for the pool: some seconds of its work. More are told to come back."""

T = TypeVar("T")


class _Imported(BcryptHasher):
    """Verifies what the predecessor's library hashed, in its way."""

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:
        given = password.encode() if isinstance(password, str) else password
        try:
            return super().verify(given[:_BCRYPT_BYTES], hash)
        except ValueError:  # a NUL character, or a hash that only looks like one
            return False


class Passwords:
    """Hashes and verifies. A flood of logins waits for the pool instead of taking all processors and memory.

    All verbs raise Problem RATE_LIMITED when too many wait already.
    """

    def __init__(self, concurrency: int = 2, memory_kib: int = _MEMORY_KIB) -> None:
        self._hash = PasswordHash((Argon2Hasher(time_cost=_PASSES, memory_cost=memory_kib, parallelism=1), _Imported()))
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="password")
        self._nobody: str | None = None
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """An encoded argon2id hash with a fresh salt."""
        return await self._in_pool(lambda: self._hash.hash(password))

    async def verify(self, password: str, encoded: str | None) -> bool:
        """Whether the password is right; with None the same work is done and the answer is no."""
        return (await self.check(password, encoded))[0]

    async def check(self, password: str, encoded: str | None) -> tuple[bool, str | None]:
        """Whether the password is right, and the hash that should take the place of `encoded`, if it is an old one."""
        return await self._in_pool(lambda: self._check(password, encoded))

    async def _in_pool(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise Problem("RATE_LIMITED", "Too many people log in right now.", headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def _check(self, password: str, encoded: str | None) -> tuple[bool, str | None]:
        if self._nobody is None:
            self._nobody = self._hash.hash("nobody has this password")
        try:
            right, better = self._hash.verify_and_update(password, encoded or self._nobody)
        except UnknownHashError:
            return False, None
        return (True, better) if right and encoded is not None else (False, None)

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)
