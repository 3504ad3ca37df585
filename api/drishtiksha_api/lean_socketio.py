"""python-socketio without `requests`, which only its client would use and every server would load: 6 MiB less.

`app` and `sockets` take the server from here.
"""

from __future__ import annotations

import sys

_hidden = "requests" not in sys.modules
if _hidden:
    sys.modules["requests"] = None  # type: ignore[assignment]
try:
    import socketio
    from engineio.packet import NOOP, Packet  # type: ignore[import-untyped]
finally:
    if _hidden:
        del sys.modules["requests"]

__all__ = ["NOOP", "Packet", "socketio"]
