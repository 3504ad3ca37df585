"""A person who uses the platform and does not give up: what an honest refusal is, and what she does after one.

A refusal says 503 with Retry-After, and for whom we wait. After one she looks what is there, and asks again if it is not.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from PIL import Image

from .house import House

TRIES = 3


class Dishonest(AssertionError):
    """An answer that no client can do anything right with."""


@cache
def picture() -> bytes:
    """A small picture, drawn by code."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (40, 80, 120)).save(out, "PNG")
    return out.getvalue()


class Person:
    """One account. `refusals`: how often she was told to come again."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.refusals = 0
        self.email = "ada@example.org"
        self.password = "correct horse"

    async def sign_up(self) -> Person:
        new = {"email": self.email, "password": self.password, "firstName": "Ada", "lastName": "Lovelace"}
        answer = await self.ask("POST", "/auth/signup", json=new)
        if answer.status_code == 409 and self.refusals:  # the refused call had made the account
            await self.log_in()
            return self
        self._expect(answer, 201)
        self.house.person.headers["Authorization"] = f"Bearer {answer.json()['data']['token']}"
        return self

    async def log_in(self) -> None:
        self.house.person.headers.pop("Authorization", None)
        answer = await self.ask("POST", "/auth/login", json={"email": self.email, "password": self.password})
        self._expect(answer, 200)
        self.house.person.headers["Authorization"] = f"Bearer {answer.json()['data']['token']}"

    async def upload(self) -> dict[str, Any]:
        """One media. A refused upload has left nothing, or this one media."""
        for _ in range(TRIES):
            files = {"file": ("a.png", picture())}
            answer = await self._once("POST", "/media", files=files, data={"description": "at sea"})
            if answer.status_code == 202:
                made: dict[str, Any] = answer.json()["data"]
                rows = await self.house.sql("SELECT status FROM media WHERE id = %s", made["id"])
                if not rows:
                    raise Dishonest("202, and there is no row")
                return made
            if answer.status_code not in (503, 422):
                raise Dishonest(f"an upload was answered {answer.status_code}: {answer.text[:300]}")
            self.refusals += 1
            there = await self.listing()
            if len(there) > 1:
                raise Dishonest(f"one refused upload left {len(there)} media")
            if there:
                return there[0]
        raise Dishonest(f"{TRIES} uploads were refused")

    async def insist(self, path: str, key: str, **options: Any) -> httpx.Response:
        """A request with an Idempotency-Key, the same one until it is answered; a key that nobody let go of is waited for."""
        for _ in range(2 * TRIES):
            answer = await self._once("POST", path, headers={"Idempotency-Key": key}, **options)
            if answer.status_code == 409 and answer.json()["code"] == "IDEMPOTENCY_IN_FLIGHT":
                await self.house.sql("UPDATE idempotency_keys SET created_at = created_at - interval '2 minutes'")
            elif answer.status_code not in (503, 422):
                return answer
            self.refusals += 1
        raise Dishonest(f"POST {path} was refused {2 * TRIES} times")

    async def listing(self) -> list[dict[str, Any]]:
        answer = await self.ask("GET", "/media")
        self._expect(answer, 200)
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def look(self, media_id: str) -> dict[str, Any]:
        answer = await self.ask("GET", f"/media/{media_id}")
        self._expect(answer, 200)
        found: dict[str, Any] = answer.json()["data"]
        return found

    async def rerun(self, media_id: str, number: int) -> None:
        """One more run; `number` is the one that it gets."""
        before = self.refusals
        answer = await self.ask("POST", f"/media/{media_id}/analyze", json={"reason": "once more"})
        if answer.status_code == 409 and self.refusals > before:  # the refused call had made it
            assert answer.json()["details"]["runNumber"] == number
            return
        self._expect(answer, 202)

    async def cancel(self, media_id: str) -> None:
        self._expect(await self.ask("POST", f"/media/{media_id}/cancel"), 202)

    async def delete(self, media_id: str) -> None:
        before = self.refusals
        answer = await self.ask("DELETE", f"/media/{media_id}")
        if answer.status_code == 404 and self.refusals > before:  # the refused call had deleted it
            return
        self._expect(answer, 200)

    async def download(self, url: str) -> bytes:
        """The bytes behind a signed link; a broken download is begun again."""
        for _ in range(TRIES):
            answer = await self.ask("GET", url)
            if answer.status_code == 200 and len(answer.content) == int(answer.headers["content-length"]):
                return answer.content
        raise Dishonest(f"{TRIES} downloads were broken")

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A call, again after each honest refusal."""
        for _ in range(TRIES):
            answer = await self._once(method, path, **options)
            if answer.status_code != 503:
                return answer
            self.refusals += 1
        raise Dishonest(f"{method} {path} was refused {TRIES} times")

    async def _once(self, method: str, path: str, **options: Any) -> httpx.Response:
        where = path if path.startswith(("http", "/api", "/readyz")) else f"/api/v1{path}"
        where = urlsplit(where)._replace(scheme="", netloc="").geturl()
        answer = await self.house.person.request(method, where, **options)
        if answer.status_code == 503 and path != "/readyz":
            body = answer.json()
            honest = body["success"] is False and body["code"] == "UNAVAILABLE" and body["details"]["what"]
            if not honest or int(answer.headers["retry-after"]) < 1:
                raise Dishonest(f"{method} {path}: a refusal without a reason or a time: {answer.text[:300]}")
        elif answer.status_code >= 500 and path != "/readyz":
            raise Dishonest(f"{method} {path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer

    @staticmethod
    def _expect(answer: httpx.Response, status: int) -> None:
        if answer.status_code != status:
            raise Dishonest(
                f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}"
            )
