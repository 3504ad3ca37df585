"""The curl of this machine, and what it was answered. Stands beside `javascript.py`; both know nothing of our code."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """The last answer of one call: headers by lower-case name; `interim` are the 1xx before it."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: list[int]
    sent: int
    """Bytes of the body that curl had sent when it was answered."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]


class Curl:
    """Calls `base`; a path of the api is put behind /api/v1, anything with a scheme is taken as it is."""

    def __init__(self, base: str, token: str | None = None) -> None:
        self.base, self.token = base, token

    def __call__(self, path: str, *words: str, token: str | None = "", root: bool = False) -> Answer:
        """`token`: another than one's own; None for none."""
        used = self.token if token == "" else token
        address = path if "://" in path else f"{self.base}{'' if root else '/api/v1'}{path}"
        bearer = ["-H", f"Authorization: Bearer {used}"] if used else []
        with tempfile.TemporaryDirectory() as folder:
            head, body = Path(folder) / "head", Path(folder) / "body"
            command = ["curl", "-sS", "-m", str(_SECONDS), "-D", str(head), "-o", str(body), "-w", "%{size_upload}"]
            done = subprocess.run(
                [*command, *bearer, *words, address], check=False, capture_output=True, text=True, timeout=_SECONDS + 5
            )
            assert done.returncode == 0, f"curl {path} {' '.join(words)}: {done.stderr}"
            blocks = head.read_text(encoding="latin-1").replace("\r", "").strip().split("\n\n")
            return Answer(
                _status(blocks[-1]),
                _headers(blocks[-1]),
                body.read_bytes() if body.exists() and "-I" not in words else b"",  # -I writes the headers there
                [_status(block) for block in blocks[:-1]],
                int(done.stdout),
            )

    def send(self, path: str, value: Any, *words: str, method: str = "POST", token: str | None = "") -> Answer:
        """A JSON body."""
        return self(
            path,
            *("-X", method, "-H", "Content-Type: application/json", "--data-binary", json.dumps(value)),
            *words,
            token=token,
        )


def _status(block: str) -> int:
    return int(block.split(None, 2)[1])


def _headers(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines()[1:])
    return {name.lower(): value.strip() for name, _, value in pairs}
