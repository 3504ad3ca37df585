"""What the pod was told: the runner's environment variables, read once and checked (CONTRACT: docs/runner-protocol.md).

Beside it stands `timing`, which holds how patient the runner is; that is not for the pod to say.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from drishtiksha.domain.errors import BadSettings


@dataclass(frozen=True)
class Environment:
    """All that differs between one pod and the next. Secrets stay out of its repr."""

    door_url: str
    token: str = field(repr=False)
    server_url: str
    server_key: str = field(repr=False, default="")
    dialect: str = "auto"
    """auto, 2 or 3."""
    polarity: str = "fake"
    """`real` where the model's frame scores are P(real): they are turned."""
    traceparent: str = ""
    scratch: Path = Path("/scratch")
    node_name: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written anywhere."""
        return tuple(s for s in (self.token, self.server_key) if s)


def read(environ: Mapping[str, str]) -> Environment:
    """Read the pod's variables. Raises BadSettings with a sentence that names the variable."""
    return Environment(
        door_url=_url(environ, "DRISHTIKSHA_DOOR_URL"),
        token=_header(environ, "DRISHTIKSHA_ATTEMPT_TOKEN", required=True),
        server_url=_url(environ, "SERVER_URL"),
        server_key=_header(environ, "SERVER_API_KEY", required=False),
        dialect=_choice(environ, "SERVER_DIALECT", ("auto", "2", "3")),
        polarity=_choice(environ, "DRISHTIKSHA_POLARITY", ("fake", "real")),
        traceparent=_header(environ, "TRACEPARENT", required=False),
        scratch=_scratch(environ),
        node_name=environ.get("NODE_NAME", "")[:200],
    )


def _url(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip().rstrip("/")
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadSettings(f"{name} must be an http or https address. Set it in the Job's pod template.")
    return value


def _header(environ: Mapping[str, str], name: str, *, required: bool) -> str:
    """A value that travels in a header: visible ASCII. The message never repeats it, for it may be a secret."""
    value = environ.get(name, "").strip()
    if required and not value:
        raise BadSettings(f"{name} is not set. The operator hands it to the pod from the run's Secret.")
    if not all("!" <= c <= "~" for c in value):
        raise BadSettings(f"{name} holds characters that cannot travel in a header. Use visible ASCII without spaces.")
    return value


def _choice(environ: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = environ.get(name, "").strip().lower() or known[0]
    if value not in known:
        raise BadSettings(f"{name} must be one of {', '.join(known)}.")
    return value


def _scratch(environ: Mapping[str, str]) -> Path:
    told = environ.get("TMPDIR", "").strip()
    if told:
        return Path(told)
    mounted = Path("/scratch")
    return mounted if mounted.is_dir() and os.access(mounted, os.W_OK) else Path(tempfile.gettempdir())
