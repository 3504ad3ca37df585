"""What our clients and Kopf may count on of a Kubernetes API server: one function is one claim, asked of the double and of the
real one alike (test_contract.py). `server.Api` is what a claim is asked with.

Claims about ends come last: the real server's collector learns of our kind of owner half a minute after it began.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from . import deleting, following, jobs, objects, rights, writing
from .server import Api

CLAIMS: dict[str, Callable[[Api], Awaitable[None]]] = {
    name: found
    for module in (objects, writing, jobs, following, rights, deleting)
    for name, found in vars(module).items()
    if callable(found) and getattr(found, "__module__", "") == module.__name__ and not name.startswith("_")
}
