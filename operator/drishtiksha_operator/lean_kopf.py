"""Kopf and its neighbours without two packages that they would import if they are there, and that nobody here uses.

`kubernetes`, for model classes that we never hand to Kopf: 20 MiB and half a second at every start. `rich` and its `pygments`, for
terminals, wanted by structlog and httpx: 4 MiB. The package imports this first; `handlers` and `main` take Kopf from here.
"""

from __future__ import annotations

import sys

_hidden = [name for name in ("kubernetes", "rich", "pygments") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]
try:
    import httpx
    import kopf
    import structlog
finally:
    for name in _hidden:
        del sys.modules[name]

__all__ = ["httpx", "kopf", "structlog"]
