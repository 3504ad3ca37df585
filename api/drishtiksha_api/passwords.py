"""Passwords: argon2id in a small pool of threads, and the same time spent on an account that does not exist."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

_MEMORY_KIB, _PASSES = 12_288, 3
"""Of the settings that OWASP holds for equally strong the one with 12 MiB: two at a time fit the process's memory."""


class Passwords:
    """Hashes and verifies. A flood of logins waits for the pool instead of taking all processors and memory."""

    def __init__(self, concurrency: int = 2, memory_kib: int = _MEMORY_KIB) -> None:
        self._hash = PasswordHash((Argon2Hasher(time_cost=_PASSES, memory_cost=memory_kib, parallelism=1),))
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="password")
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """An encoded argon2id hash with a fresh salt."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._hash.hash, password)

    async def verify(self, password: str, encoded: str | None) -> bool:
        """Whether the password is right; with None the same work is done and the answer is no."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._verify, password, encoded)

    def _verify(self, password: str, encoded: str | None) -> bool:
        if self._nobody is None:
            self._nobody = self._hash.hash("nobody has this password")
        try:
            right = self._hash.verify(password, encoded or self._nobody)
        except UnknownHashError:
            return False
        return right and encoded is not None

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)
