"""Cloudinary on the wire: its SDK makes the addresses and signatures, httpx carries the requests. One file is one asset.

`cloudinary.py` tells the stories with it. Every asset is `raw` and `authenticated`: kept as it is, and open to nobody
without a signature. All but the listing belongs to the Upload API, which has no limit of calls; the listing belongs to
the Admin API, which has one. The SDK's own requests have no end in time: docs/decisions/0017.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeVar

import httpx
from cloudinary import utils as sdk

from drishtiksha.domain.errors import Unavailable

from . import ObjectMissing
from .complaint import complain
from .patience import Patience

KIND, TYPE = "raw", "authenticated"
_BLOCK = 512 * 1024
"""Bytes handed on at a time."""
_LINK_SECONDS = 600
"""How long the address of a download of ours is good for: the wait for its answer, not the download."""
_PAGE = 500
"""Assets in one answer of a listing: the most that there can be."""
_REST_SECONDS = 60.0
"""When to come again after the hour's calls are used up."""
_PASSING = frozenset({408, 420, 429, *range(500, 600)})
_RANGE = re.compile(r"^bytes (?:(\d+)-(\d+)|\*)/(\d+)$")

T = TypeVar("T")


@dataclass(frozen=True)
class Account:
    """Whose assets, and where the API answers."""

    cloud: str
    key: str
    secret: str = field(repr=False)
    endpoint: str = "https://api.cloudinary.com"

    def options(self) -> dict[str, Any]:
        """As the SDK takes them. All are given, so that nothing of the environment counts."""
        return {
            "cloud_name": self.cloud,
            "api_key": self.key,
            "api_secret": self.secret,
            "upload_prefix": self.endpoint,
            "signature_algorithm": sdk.SIGNATURE_SHA1,
            "signature_version": 2,
            "resource_type": KIND,
            "type": TYPE,
        }


class Broken(Exception):
    """A download that ended before its end."""


class _Passing(Exception):
    """A fault that may be gone at the next try. `pause`: the seconds that the answer asked for."""

    def __init__(self, kind: str, code: str | None = None, pause: float = 0.0) -> None:
        self.kind = kind
        self.code = code
        self.pause = pause


class Wire:
    """The requests to one account. All raise Unavailable, in time."""

    def __init__(self, account: Account, patience: Patience) -> None:
        self._account = account
        self._patience = patience
        self._client = httpx.AsyncClient(
            verify=_trust(),
            timeout=httpx.Timeout(patience.request, connect=patience.connect),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),  # a reader may pause with his own
            headers={"User-Agent": "drishtiksha", "Accept-Encoding": "identity"},
        )

    async def ask(
        self,
        action: str,
        name: str,
        more: dict[str, Any],
        file: bytes | None = None,
        part: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """One call of the Upload API about the asset `name`. `part`: the headers of a part. Raises ObjectMissing."""
        url = sdk.cloudinary_api_url(action, **self._account.options())

        async def once() -> dict[str, Any]:
            given = {"timestamp": sdk.now(), "type": TYPE, "public_id": name, **more}
            signed = sdk.sign_request(given, self._account.options())
            with BytesIO(file or b"") as body:  # closed, or answers and requests keep it until they are collected
                files = None if file is None else {"file": ("bytes", body, "application/octet-stream")}
                return _answer(await self._client.post(url, data=signed, files=files, headers=part))

        return await self._patiently(once)

    async def page(self, prefix: str, cursor: str | None) -> dict[str, Any]:
        """One answer of the Admin API: assets whose name begins with `prefix`, and a cursor when there are more."""
        url = sdk.base_api_url(["resources", KIND, TYPE], **self._account.options())
        asked: dict[str, str | int] = {"prefix": prefix, "max_results": _PAGE}
        if cursor is not None:
            asked["next_cursor"] = cursor
        account = httpx.BasicAuth(self._account.key, self._account.secret)

        async def once() -> dict[str, Any]:
            return _answer(await self._client.get(url, params=asked, auth=account))

        try:
            return await self._patiently(once)
        except ObjectMissing:  # a listing is empty, but never missing
            raise _refused("NoListing", "Cloudinary has no listing at this address.") from None

    def address(self, name: str, expires: int) -> str:
        """Where the bytes of the asset are until `expires` (seconds since 1970)."""
        return str(sdk.private_download_url(name, None, expires_at=expires, **self._account.options()))

    async def open(self, name: str, start: int, end: int | None) -> Reading:
        """The answer with the bytes [start, end), as far as there are any. Raises ObjectMissing."""
        wanted = {} if (start, end) == (0, None) else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}

        async def once() -> Reading:
            address = self.address(name, int(time.time()) + _LINK_SECONDS)
            request = self._client.build_request("GET", address, headers=wanted)
            response = await self._client.send(request, stream=True, follow_redirects=True)
            try:
                if response.status_code not in (200, 206, 416):
                    await response.aread()
                    _judge(response)
                return Reading(response, start, end, self._patience)
            except BaseException:
                await response.aclose()
                raise

        return await self._patiently(once)

    async def _patiently(self, once: Callable[[], Awaitable[T]]) -> T:
        """Ask until it is answered, as often and as long as our patience goes."""
        begun, pause = time.monotonic(), 0.05
        try:
            async with asyncio.timeout(self._patience.call):
                for tries_left in reversed(range(self._patience.retries + 1)):
                    trouble = await self._try(once)
                    if not isinstance(trouble, _Passing):
                        return trouble
                    pause = max(pause * 2, trouble.pause)
                    if not tries_left or time.monotonic() - begun + pause > self._patience.retry_until:
                        break
                    await asyncio.sleep(pause)
        except TimeoutError:
            trouble = _Passing("TimeoutError")
        assert isinstance(trouble, _Passing)
        complain(trouble.kind, trouble.code)
        if trouble.code in ("420", "429"):
            text = "Cloudinary takes no more calls for now: the hour's calls of the account's plan are used up."
            raise Unavailable("objects", text, _REST_SECONDS)
        raise Unavailable("objects", "The object store does not answer.")

    async def _try(self, once: Callable[[], Awaitable[T]]) -> T | _Passing:
        try:
            async with asyncio.timeout(self._patience.request):
                return await once()
        except (httpx.HTTPError, TimeoutError) as error:
            return _Passing(type(error).__name__)
        except _Passing as error:
            return error


class Reading:
    """A download on its way. `size`: of the whole asset, where the answer says it; `tag`: its version, likewise."""

    def __init__(self, response: httpx.Response, start: int, end: int | None, patience: Patience) -> None:
        self._response = response
        self._patience = patience
        self._left = None if end is None else end - start
        self._skip = 0
        self.tag = response.headers.get("ETag")
        self.size: int | None = None
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise _refused("Encoded", "Cloudinary gave other bytes than it was given.")
        if response.status_code == 200:  # all of it, whatever was asked for
            self._skip = start
            self.size = _number(response.headers.get("Content-Length"))
            return
        window = _RANGE.match(response.headers.get("Content-Range", ""))
        if response.status_code == 416:
            self._left, self.size = 0, int(window[3]) if window else None
        elif window is None or window[1] is None or int(window[1]) != start:
            raise _refused("Range", "Cloudinary gave other bytes than were asked for.")
        else:
            self.size = int(window[3])

    async def blocks(self) -> AsyncIterator[bytes]:
        """The bytes, as they come. Raises Broken; what came before is good."""
        pieces = self._response.aiter_raw()
        ended = self._left == 0
        while not ended:
            block, broken = bytearray(), False
            try:
                async with asyncio.timeout(self._patience.call):
                    while not ended and len(block) < _BLOCK:
                        piece = await anext(pieces, None)
                        ended = piece is None
                        block += self._wanted(piece or b"")
                        ended = ended or self._left == 0
            except (httpx.HTTPError, TimeoutError) as error:
                complain(type(error).__name__, "Broken")
                broken = True
            if block:
                yield bytes(block)
            if broken:
                raise Broken

    def _wanted(self, piece: bytes) -> bytes:
        skipped = min(self._skip, len(piece))
        self._skip -= skipped
        piece = piece[skipped:]
        if self._left is not None:
            piece = piece[: self._left]
            self._left -= len(piece)
        return piece

    async def close(self) -> None:
        """Give the connection back, or hang up when there is more to come."""
        await self._response.aclose()


@functools.cache
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _answer(response: httpx.Response) -> dict[str, Any]:
    """What a call was answered with. An answer in another language is not Cloudinary's."""
    _judge(response)
    try:
        said = response.json()
    except ValueError:
        said = None
    if not isinstance(said, dict) or "error" in said:
        raise _Passing("NoAnswer", str(response.status_code))
    return said


def _judge(response: httpx.Response) -> None:
    """Raise what a refusal means. Its text is looked at for a few known words, and told to nobody."""
    status, said = response.status_code, _said(response)
    if 200 <= status < 300:
        return
    if status in _PASSING:
        raise _Passing("Status", str(status), float(_number(response.headers.get("Retry-After")) or 0))
    if status == 404 and said.startswith("Resource not found"):
        raise ObjectMissing("No such object.")
    if status in (401, 403):
        cure = "check CLOUDINARY_CLOUD_NAME, CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET, and this machine's clock"
        raise _refused(str(status), f"Cloudinary refuses our signature: {cure}.")
    if said.startswith("File size too large"):
        raise _refused("TooLarge", "Cloudinary takes no raw file of this size: the plan of the account limits it.")
    raise _refused(str(status), "Cloudinary refuses the request.")


def _said(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(response.headers.get("X-Cld-Error", ""))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,15}", text) else None


def _refused(code: str, text: str) -> Unavailable:
    complain("Refused", code)
    return Unavailable("objects", text)
