"""How long a store on the network is waited for. `remote.py` and `cloudinary_wire.py` keep to it, each in its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class Patience:
    """How long the store is waited for, in seconds."""

    connect: float = 3.0
    request: float = 20.0
    """One request with its body: a part of 5 MiB needs 256 KiB/s."""
    retries: int = 2
    retry_until: float = 10.0
    """No further try of a request that began this long ago."""
    call: float = 35.0
    """One question, with its wait for a thread and all tries."""

    def client(self) -> dict[str, Any]:
        """As obstore's client options."""
        return {
            "connect_timeout": timedelta(seconds=self.connect),
            "timeout": timedelta(seconds=self.request),
            "read_timeout": timedelta(seconds=self.request),
        }

    def retry(self) -> dict[str, Any]:
        """As obstore's retry options."""
        pauses = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2), "base": 2}
        return {"max_retries": self.retries, "retry_timeout": timedelta(seconds=self.retry_until), "backoff": pauses}
