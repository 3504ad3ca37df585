"""Fetching one file over HTTP whose content is known beforehand.

Used by `binary.py` for a ready-made control plane. The checksum is the authority: whatever a mirror, a proxy or a cut
connection leaves behind, the file exists under its name only when every byte is the expected one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from drishtiksha.domain.errors import DrishtikshaError

Progress = Callable[[str, float | None], None]
"""Told what is being done, as a sentence, and which fraction of it (0..1, None: unknown) is behind us."""

CONNECT_SECONDS = 15.0
"""Longest wait for a connection; a machine without a network should learn it soon."""
STALL_SECONDS = 30.0
"""Longest silence in the middle of a download."""
TRIES = 3
"""A cut connection is tried again from the beginning; a wrong checksum never."""

_AS_IT_IS = {"Accept-Encoding": "identity"}


class DownloadFailed(DrishtikshaError):
    """The file could not be fetched; nothing was left behind. Another source may still do."""


class WrongChecksum(DrishtikshaError):
    """The file was fetched whole and is not the one that was asked for. No other source may paper over this."""


def fetch(
    url: str,
    sha256: str,
    target: Path,
    progress: Progress,
    *,
    stall: float = STALL_SECONDS,
    tries: int = TRIES,
    pause: float = 1.0,
) -> None:
    """Put the file behind `url` at `target` once its SHA-256 (hex) is the given one.

    Raises DownloadFailed (refused, cut, stalled, not 200) or WrongChecksum.
    """
    part = target.with_name(f"{target.name}.part-{os.getpid()}")
    try:
        for attempt in range(1, tries + 1):
            try:
                found = _stream(url, part, progress, stall)
                break
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = str(error) or type(error).__name__
                answered = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
                if attempt == tries or answered or isinstance(error, httpx.InvalidURL):
                    raise DownloadFailed(f"{url} could not be fetched: {reason}") from error
                progress(f"{reason}; fetching it again", None)
                time.sleep(pause * attempt)
        if found != sha256.strip().lower():
            raise WrongChecksum(
                f"{url} has the SHA-256 {found}, not the expected {sha256}. Nothing of it was used: "
                "check the address and the checksum."
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _stream(url: str, part: Path, progress: Progress, stall: float) -> str:
    """One try, to its last byte; the SHA-256 of what arrived. A short body is an error of the protocol (httpx)."""
    timeout = httpx.Timeout(stall, connect=min(CONNECT_SECONDS, stall))
    digest, done = hashlib.sha256(), 0
    with (
        httpx.stream("GET", url, headers=_AS_IT_IS, timeout=timeout, follow_redirects=True) as answer,
        part.open("wb") as file,
    ):
        answer.raise_for_status()
        total = int(answer.headers.get("content-length", 0))
        for block in answer.iter_raw():
            file.write(block)
            digest.update(block)
            done += len(block)
            size = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
            progress(f"Fetching the control plane: {size}", done / total if total else None)
    return digest.hexdigest()
