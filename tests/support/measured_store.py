"""A process that puts so many megabytes into its store, reads them again, and tells its size and its peaks in MiB."""

MEASURED = """
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
