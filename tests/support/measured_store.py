"""What many bytes cost a process of its own that puts them into its store and reads them again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_STORY = """
import asyncio, hashlib, re, sys
from pathlib import Path
from drishtiksha.objects import keys
from drishtiksha.objects.providers import open_objects

KEY = keys.original("01890000-0000-7000-8000-00000000000b")
BLOCK = bytes(range(256)) * 256


def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024


async def source(megabytes):
    for _ in range(megabytes * 16):
        yield BLOCK


async def main():
    objects = open_objects()
    await objects.put(KEY, source(1))
    before = peak()
    stored = await objects.put(KEY, source(int(sys.argv[1])))
    up = peak()
    digest = hashlib.sha256()
    async for block in objects.get(KEY):
        digest.update(block)
    assert digest.hexdigest() == stored.sha256
    await objects.delete(KEY)
    print(stored.size, before, up, peak())


asyncio.run(main())
"""


def grown(mebibytes: int, settings: Mapping[str, str], folder: Path) -> tuple[int, int]:
    """By how many MiB the peak of the process had grown after the upload, and after the download."""
    command = [sys.executable, "-c", _STORY, str(mebibytes)]
    environment = {**os.environ, **settings}
    done = subprocess.run(
        command, check=False, env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stderr
    size, before, up, down = map(int, done.stdout.split())
    print(f"{mebibytes} MiB: {before} MiB before, {up} MiB after the upload, {down} MiB after the download")
    assert size == mebibytes * 1024 * 1024
    return up - before, down - before
