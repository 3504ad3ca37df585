"""Connections that stall, many of them: honest requests beside them all succeed, and the process is rid of them in time.

How much slower the honest ones are is a figure, not a test: it depends on the machine.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from api_process import ApiProcess, wait_for
from api_samples import picture
from figures import Claim

PICTURE = picture("PNG")
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PICTURE
KINDS = ("silent", "half a head", "dripping head", "body that stops", "dripping body")
SHORT = {
    "connection.HEAD_SECONDS": 2.0,
    "connection.REST_SECONDS": 1.0,
    "pace.READ_TIMEOUT": 2.0,
    "pace.GRACE_SECONDS": 2.0,
}


class Crowd:
    """So many connections that stall, in five ways, until they are hung up on."""

    def __init__(self, api: ApiProcess, headers: dict[str, str], many: int) -> None:
        self._port = api.port
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._upload = (
            f"POST /api/v1/media HTTP/1.1\r\nHost: x\r\nContent-Length: 250000\r\n{fields}"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        ).encode() + FORM
        self.hung_up: Counter[str] = Counter()
        self.begun, self.standing = 0, 0
        self._one_by_one = asyncio.Semaphore(50)
        self._members = [asyncio.create_task(self._stand(KINDS[n % len(KINDS)])) for n in range(many)]

    async def end(self) -> None:
        """Wait until the server has hung up on everybody."""
        async with asyncio.timeout(240):
            await asyncio.gather(*self._members)

    async def _stand(self, kind: str) -> None:
        async with self._one_by_one:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.standing += 1
        self.begun += 1
        try:
            await self._stall(kind, reader, writer)
        finally:
            self.standing -= 1
            writer.close()
        self.hung_up[kind] += 1

    async def _stall(self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the server hangs up; it must do so, whatever we say."""
        begin = {"half a head": b"GET / HTTP/1.1\r\nHost: ", "dripping head": b"GET / HTTP/1.1\r\nx: "}
        writer.write(b"" if kind == "silent" else begin.get(kind, self._upload))
        ended = asyncio.create_task(_read_all(reader))
        while not ended.done():
            if kind.startswith("dripping"):
                writer.write(b"x")
            await asyncio.wait({ended}, timeout=1.0)


async def _read_all(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(4096):
            pass
    except ConnectionError:
        pass


async def honest(client: httpx.AsyncClient, reads: int, uploads: int) -> dict[str, float]:
    """An honest client's requests, one after the other, all successful: the median of each kind in milliseconds."""
    media_id = ""

    async def upload() -> None:
        nonlocal media_id
        answer = await client.post("/api/v1/media", files={"file": ("a.png", PICTURE)})
        assert answer.status_code == 202, answer.text
        media_id = answer.json()["data"]["id"]

    async def read(path: str) -> None:
        assert (await client.get(path)).status_code == 200

    took = {"upload": [await _timed(upload) for _ in range(uploads)]}
    took["list"] = [await _timed(lambda: read("/api/v1/media?limit=10")) for _ in range(reads)]
    took["detail"] = [await _timed(lambda: read(f"/api/v1/media/{media_id}")) for _ in range(reads)]
    return {kind: statistics.median(times) * 1000 for kind, times in took.items()}


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def beside_a_crowd(api: ApiProcess, headers: dict[str, str], many: int, reads: int, uploads: int) -> Any:
    """Medians before and beside the crowd, the crowd, and how many of it still stood after the last honest request."""
    async with httpx.AsyncClient(base_url=api.url, headers=headers, timeout=120) as client:
        await asyncio.gather(*(client.get("/api/v1/media") for _ in range(40)))  # all pools have their connections
        await honest(client, 3, 2)
        before = await honest(client, reads, uploads)
        at_first = api.descriptors()
        crowd = Crowd(api, headers, many)
        files = sum("body" in KINDS[n % len(KINDS)] for n in range(many))
        async with asyncio.timeout(120):
            # Until all stand and all uploads have begun, or the first are hung up on already.
            while crowd.begun < many or (api.descriptors() < at_first + many + files and not crowd.hung_up):
                await asyncio.sleep(0.05)
        beside = await honest(client, reads, uploads)
        standing = crowd.standing
        await crowd.end()
        assert (await client.get("/api/v1/media")).status_code == 200
    assert set(crowd.hung_up) == set(KINDS)
    await asyncio.to_thread(wait_for, "the descriptors to be free", lambda: api.descriptors() <= at_first)
    assert [name for name in api.stored() if name.startswith(".incoming")] == []
    return before, beside, crowd, standing


def said(api: ApiProcess) -> Counter[str]:
    """How often each event was logged."""
    return Counter(json.loads(line)["event"] for line in api.lines() if line.startswith("{"))


async def test_a_small_crowd_that_stalls_is_hung_up_on_while_others_are_served(
    start_api: Callable[..., ApiProcess], person: Callable[[ApiProcess], dict[str, str]]
) -> None:
    api = start_api(clocks=SHORT)
    _, _, crowd, _ = await beside_a_crowd(api, person(api), many=50, reads=3, uploads=1)
    told = said(api)
    assert told["hung up: nothing was asked in time"] >= crowd.hung_up["silent"] > 0
    assert told["hung up: the head came too slowly"] >= crowd.hung_up["half a head"] > 0
    assert told["hung up: a body went on long after its answer"] > 0


@pytest.mark.soak
async def test_a_thousand_stalled_connections_do_not_keep_honest_clients_out(
    start_api: Callable[..., ApiProcess], person: Callable[[ApiProcess], dict[str, str]], figures: dict[str, Any]
) -> None:
    many, hard = 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 2 * many:
        pytest.skip("a process here may not have so many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * many, hard))
    api = start_api(clocks={"connection.HEAD_SECONDS": 90.0, "pace.READ_TIMEOUT": 90.0, "pace.GRACE_SECONDS": 90.0})
    before, beside, crowd, standing = await beside_a_crowd(api, person(api), many, reads=40, uploads=10)
    ratios = {kind: beside[kind] / before[kind] for kind in before}
    worst = max(ratios.values())
    figures["heads"] = Claim(
        f"connections that stall in head or body, {many} at a time, five ways",
        "every one is hung up on; descriptors as before",
        f"{crowd.hung_up.total()} of {crowd.hung_up.total()} hung up on; descriptors as before",
        True,
        "no clock for heads: red (they stay for ever)",
    )
    figures["stalled"] = Claim(
        f"honest list, detail and upload beside {many} stalled connections, medians against the same run without them",
        "all succeed; at most 2 ×",
        f"all succeeded, {standing} stood to the end; "
        + ", ".join(f"{kind} {ratio:.2f} ×" for kind, ratio in sorted(ratios.items())),
        worst <= 2 and standing >= 0.9 * many,
        "one process, one machine; the crowd's clients take from the same processors",
    )
