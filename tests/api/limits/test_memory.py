"""Hundreds of uploads at once: the api's memory stays as it was with a few, and few children look at the files."""

from __future__ import annotations

import asyncio
import io
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from api_process import MIB, ApiProcess, wait_for
from figures import Claim, Table
from PIL import Image

PIECE = 64 * 1024


def large_picture() -> bytes:
    """A picture of about 1.5 MiB."""
    out = io.BytesIO()
    noise = np.random.default_rng(7).integers(0, 256, (720, 720, 3), np.uint8)
    Image.fromarray(noise).save(out, "PNG", compress_level=0)
    return out.getvalue()


class Uploads:
    """So many uploads that all are half sent at one moment; then they are sent to their end and answered.

    With `leave` so many of them are broken off in the middle instead.
    """

    def __init__(self, api: ApiProcess, headers: dict[str, str], many: int, *, leave: int = 0) -> None:
        self._port, self._many, self._leave = api.port, many, leave
        form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        body = form + large_picture() + b"\r\n--x--\r\n"
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"POST /api/v1/media HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{fields}"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        self._request = head.encode() + body
        self._halves, self._whole = 0, 0
        self._all_half = asyncio.Event()
        self.open_at_once = 0
        self.answers: Counter[int] = Counter()

    async def run(self) -> None:
        async with asyncio.timeout(1500), asyncio.TaskGroup() as group:
            for number in range(self._many):
                group.create_task(self._one(leaves=number < self._leave))

    async def _one(self, *, leaves: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        half = len(self._request) // 2
        for at in range(0, half, PIECE):
            writer.write(self._request[at : min(at + PIECE, half)])
            await writer.drain()
        self._halves += 1
        if self._halves == self._many:
            self.open_at_once = self._many
            self._all_half.set()
        sent = half
        while not self._all_half.is_set():  # trickle on, so that nobody takes us for stalled
            writer.write(self._request[sent : sent + 16])
            sent += 16
            try:
                async with asyncio.timeout(1.0):
                    await self._all_half.wait()
            except TimeoutError:
                pass
        if leaves:
            writer.transport.abort()
            return
        for at in range(sent, len(self._request), PIECE):
            writer.write(self._request[at : at + PIECE])
            await writer.drain()
        answer = await reader.read()
        status = int(answer.split(b" ", 2)[1])
        self.answers[status] += 1
        assert status != 503 or b"retry-after" in answer.lower()
        writer.close()


def unfinished(api: ApiProcess) -> list[str]:
    return [name for name in api.stored() if name.startswith(".incoming")]


async def watched(api: ApiProcess, uploads: Uploads) -> tuple[float, int]:
    """Peak MiB of the api while the uploads run, and the most children it had."""
    api.forget_peak()
    most, running = 0, asyncio.create_task(uploads.run())
    while not running.done():
        most = max(most, await asyncio.to_thread(api.children))
        await asyncio.wait({running}, timeout=0.2)
    await running
    return api.peak(), most


async def test_sixty_uploads_at_once_take_little_memory_and_two_children(
    start_api: Callable[..., ApiProcess], person: Callable[[ApiProcess], dict[str, str]]
) -> None:
    api = start_api()
    ada = person(api)
    await Uploads(api, ada, 2).run()
    few = api.peak()
    uploads = Uploads(api, ada, 60, leave=50)
    many, children = await watched(api, uploads)
    assert uploads.answers.total() == 10
    assert uploads.answers.keys() <= {202, 503}
    await asyncio.to_thread(wait_for, "nothing to be left of the others", lambda: not unfinished(api))
    assert uploads.open_at_once == 60
    assert children <= 2
    assert many - few < 45  # of 45 MiB that were half sent, and of buffers of the sockets beside them


@pytest.mark.soak
@pytest.mark.timeout(2400)
async def test_five_hundred_uploads_at_once_take_hardly_more_memory_than_fifty(
    start_api: Callable[..., ApiProcess], person: Callable[[ApiProcess], dict[str, str]], figures: dict[str, Any]
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip("a process here may not have so many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    api = start_api()
    ada = person(api)
    await Uploads(api, ada, 4).run()
    idle = api.memory()
    rows, peaks, accepted = [], {}, {}
    for number in (50, 500):
        uploads = Uploads(api, ada, number)
        peaks[number], children = await watched(api, uploads)
        assert uploads.answers.keys() <= {202, 503}
        assert uploads.open_at_once == number
        assert children <= 2
        accepted[number] = uploads.answers[202]
        told = ", ".join(f"{count} × {status}" for status, count in sorted(uploads.answers.items()))
        rows.append([f"{number} uploads at once", f"{peaks[number]:.0f}", str(children), told])
    after = api.memory()
    ratio = peaks[500] / peaks[50]
    size = len(large_picture()) / MIB
    figures["memory"] = Claim(
        f"api memory under 500 uploads of {size:.1f} MiB, all half sent at one moment, against 50",
        "flat: at most 1.25 ×, with at least 450 accepted",
        f"{ratio:.2f} ×: {peaks[50]:.0f} MiB with 50, {peaks[500]:.0f} MiB with 500 ({idle:.0f} MiB idle); {accepted[500]} accepted",
        ratio <= 1.25 and accepted[500] >= 450,
        "each open file held half a mebibyte: red",
    )
    rows.insert(0, ["idle, after four uploads", f"{idle:.0f}", "0", "–"])
    rows.append(["afterwards", f"{after:.0f}", "0", "–"])
    figures["sizes"] = Table(["one api process", "MiB resident, at most", "children, at most", "answers"], rows)
    assert peaks[500] < 2 * peaks[50]
