"""The REST API as the commands use it: calls with timeouts, reads tried again, errors in the server's own words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import httpx

from .errors import NOT_LOGGED_IN, USAGE, CommandFailed, Refused, Unreachable

TRIES = 4
"""Of a read; a write is never repeated."""

_CURES = {
    "NOT_FOUND": "Yours are listed by: drishtiksha list",
    "TOO_LARGE": "Send a smaller copy, or raise MAX_UPLOAD_BYTES of the API.",
    "EMAIL_TAKEN": "Try: drishtiksha login",
    "RUN_ACTIVE": "Follow it: drishtiksha watch ID, or end it: drishtiksha cancel ID",
    "NOT_ACTIVE": "For a new run: drishtiksha rerun ID",
    "UNAVAILABLE": "Try again in a moment, or look: drishtiksha status",
    "INTERNAL": "Its reason stands in: drishtiksha logs api",
}
"""What a person can do about an error, where the server's sentence does not say it."""


class Client:
    """One API and at most one token. `transport` is for tests."""

    def __init__(self, base_url: str, token: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        self.base_url, self.token = base_url, token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=f"{base_url}/api/v1",
            headers=headers,
            timeout=httpx.Timeout(20, connect=5),
            transport=transport,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def signup(self, email: str, password: str, first_name: str, last_name: str) -> str:
        """A new account; returns its token."""
        body = {"email": email, "password": password, "firstName": first_name, "lastName": last_name}
        return str(self._call("POST", "/auth/signup", json=body)["token"])

    def login(self, email: str, password: str) -> str:
        """A new token."""
        return str(self._call("POST", "/auth/login", json={"email": email, "password": password})["token"])

    def logout(self) -> None:
        """End this token."""
        self._call("POST", "/auth/logout")

    def profile(self) -> dict[str, Any]:
        """Who the token belongs to."""
        return dict(self._call("GET", "/auth/profile"))

    def media(self, media_id: str, *, tries: int = TRIES) -> dict[str, Any]:
        """The full object."""
        return dict(self._call("GET", f"/media/{quote(media_id, safe='')}", tries=tries))

    def list(self, limit: int) -> list[dict[str, Any]]:
        """The newest media."""
        return list(self._call("GET", "/media", params={"limit": limit}))

    def rerun(self, media_id: str, *, models: Sequence[str] | None = None, reason: str | None = None) -> dict[str, Any]:
        """One more run, of these models or all; the full object."""
        wishes = {"models": list(models) if models else None, "reason": reason}
        body = {name: wish for name, wish in wishes.items() if wish is not None}
        return dict(self._call("POST", f"/media/{quote(media_id, safe='')}/analyze", json=body))

    def cancel(self, media_id: str) -> dict[str, Any]:
        """Ask for the end of the active run; the full object."""
        return dict(self._call("POST", f"/media/{quote(media_id, safe='')}/cancel"))

    def delete(self, media_id: str) -> None:
        """Delete a media with all that was found."""
        self._call("DELETE", f"/media/{quote(media_id, safe='')}")

    def server_status(self) -> dict[str, Any]:
        """What the ML service says about itself. Asked once: the API itself has already waited for it."""
        return dict(self._call("GET", "/monitoring/server-status", tries=1))

    def upload(self, path: Path, progress: Callable[[int, int], None] = lambda sent, size: None) -> dict[str, Any]:
        """Send a file; `progress` is told bytes sent and the size. Raises CommandFailed when it cannot be read."""
        try:
            size = path.stat().st_size
            file = path.open("rb")
        except OSError as error:
            raise CommandFailed(f"it cannot be read: {error.strerror}", USAGE) from None
        with file:
            counted: Any = _Counted(file, size, progress)
            files = {"file": (path.name, counted, "application/octet-stream")}
            try:
                return dict(self._call("POST", "/media", files=files, timeout=httpx.Timeout(120, connect=5)))
            except OSError as error:  # of the file: the network's are Unreachable by now
                raise CommandFailed(f"it cannot be read: {error.strerror or error}", USAGE) from None

    def _call(self, method: str, path: str, *, tries: int = TRIES, **options: Any) -> Any:
        """`data` of the envelope. Raises Refused with the server's sentence, or Unreachable."""
        tries = tries if method == "GET" else 1
        attempt = 1
        while True:
            pause = 0.4 * 2 ** (attempt - 1)
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if attempt >= tries:
                    raise Unreachable(self.base_url, str(error) or type(error).__name__) from None
            else:
                if answer.status_code not in (429, 503) or attempt >= tries:
                    return self._data(answer)
                pause = _told(answer) or pause
            time.sleep(pause)
            attempt += 1

    def _data(self, answer: httpx.Response) -> Any:
        try:
            body = answer.json()
            if answer.is_success:
                return body["data"]
            message, code = str(body["message"]), str(body["code"])
            fields = [f"{e['field']}: {e['message']}" for e in body.get("errors") or [] if e.get("field")]
        except (ValueError, KeyError, TypeError, AttributeError):
            text = f"{self.base_url} answered {answer.status_code} and no JSON of ours: is it a Drishtiksha API?"
            raise Refused(answer.status_code, "FOREIGN", text) from None
        if answer.status_code == 401 and self.token is None and code == "TOKEN_MISSING":
            raise CommandFailed("You are not logged in. Try: drishtiksha login, or drishtiksha signup.", NOT_LOGGED_IN)
        if answer.status_code == 401 and code in ("TOKEN_INVALID", "TOKEN_EXPIRED"):
            message = "Your login has ended. Try: drishtiksha login"
        if fields:
            message = f"{message.rstrip('.')}: {' '.join(fields)}"
        raise Refused(answer.status_code, code, " ".join((message, _CURES.get(code, ""))).rstrip())


def _told(answer: httpx.Response) -> float | None:
    """Seconds to wait as the server says, as far as a person would wait."""
    try:
        return min(5.0, max(0.0, float(answer.headers["Retry-After"])))
    except (KeyError, ValueError):
        return None


class _Counted:
    """A file that tells how much of it was read. httpx reads it in chunks and asks for its length."""

    def __init__(self, file: IO[bytes], size: int, progress: Callable[[int, int], None]) -> None:
        self._file, self._size, self._progress = file, size, progress

    def read(self, amount: int = -1) -> bytes:
        chunk = self._file.read(amount)
        if self._file.tell() > self._size or (not chunk and self._file.tell() != self._size):
            raise CommandFailed("it changed while it was sent: try again when it is whole", USAGE)
        self._progress(self._file.tell(), self._size)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(65536):
            yield chunk
