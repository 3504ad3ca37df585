"""Kopf without the official Kubernetes client, which it would import for model classes that we never hand it.

That import costs 20 MiB and half a second at every start. `handlers` and `main` take Kopf from here.
"""

from __future__ import annotations

import sys

_hidden = "kubernetes" not in sys.modules
if _hidden:
    sys.modules["kubernetes"] = None  # type: ignore[assignment]
try:
    import kopf
finally:
    if _hidden:
        del sys.modules["kubernetes"]

__all__ = ["kopf"]
