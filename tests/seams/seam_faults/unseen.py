"""What the stories must reach: every verb, route and method by which the platform's code leaves its process.

The lists are read from the code itself, so that a new call which no story makes, or which no wrapper sees, is named.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drishtiksha.bus import Bus
from drishtiksha.kube import Kube
from drishtiksha.resources import MediaAnalyses
from drishtiksha_api.door.routes import router
from drishtiksha_api.intake.probe import Prober
from drishtiksha_api.mlstatus import MLStatus
from drishtiksha_jobrunner.door import Door
from drishtiksha_jobrunner.model import Model
from drishtiksha_operator.discovery import Discovery
from drishtiksha_operator.jobs import Jobs

from .http import _NAME as _ARTIFACT

ROOT = Path(__file__).resolve().parents[3]
PROCESSES = (
    "core/drishtiksha",
    "api/drishtiksha_api",
    "operator/drishtiksha_operator",
    "jobrunner/drishtiksha_jobrunner",
)
CLIENTS: tuple[type, ...] = (Kube, MediaAnalyses, Jobs, Bus, Door, Model, Discovery, MLStatus, Prober)

EXEMPT = {
    "Kube.text": "the command line reads logs with it",
    "HealthHistory.age": "the watch over the ML service asks it, and is not part of a story",
    "Claims.keep": "a request says so only after fifteen seconds",
    "Users.alive": "asked for open sockets, and no story has one",
    "StoredRows.needs": "the command that moves the bytes",
    "StoredRows.page": "the command that moves the bytes",
    "StoredRows.total": "the command that moves the bytes",
    "Users.get": "nobody calls it",
    "Users.replace_hash": "only for accounts with an imported hash",
}
"""What no story reaches, and why. A name that is reached after all, or is gone, must leave the list."""

LEAVES = frozenset(
    {
        "httpx", "aiohttp", "redis", "psycopg", "socket", "subprocess", "multiprocessing", "requests", "websockets",
        "http.client", "urllib.request", "kubernetes", "kubernetes_asyncio", "asyncpg", "smtplib", "boto3", "obstore",
        "grpc", "kopf",
    }
)  # fmt: skip
"""Libraries that talk to somebody else."""
CALLS = frozenset(
    {"create_subprocess_exec", "create_subprocess_shell", "open_connection", "open_unix_connection", "create_connection",
     "create_datagram_endpoint", "start_server", "Popen", "fork", "posix_spawn", "system", "popen", "create_async_engine",
     "create_engine"}
)  # fmt: skip
"""Calls of the standard library and of SQLAlchemy that do."""
DOORS = {
    "core/drishtiksha/bus.py": "redis: the clients of `from_url` are wrapped",
    "core/drishtiksha/database/session.py": "postgres: `transaction`, and statements outside of one",
    "core/drishtiksha/kube.py": "kubernetes: `_send` and `_once`",
    "api/drishtiksha_api/intake/probe.py": "child: the prober's process",
    "api/drishtiksha_api/mlstatus.py": "ml: its client's transport is ours",
    "operator/drishtiksha_operator/discovery.py": "ml: its client is handed in",
    "jobrunner/drishtiksha_jobrunner/run.py": "door, ml: its clients' transport is ours",
    "jobrunner/drishtiksha_jobrunner/door.py": "door: its client is handed in",
    "jobrunner/drishtiksha_jobrunner/model.py": "ml: its client is handed in",
    # Not calls of a story:
    "core/drishtiksha/objects/providers.py": "it makes the clients of the next",
    "core/drishtiksha/objects/remote.py": "the stories keep their bytes in a folder; its own tests cut its wire",
    "core/drishtiksha/objects/cloudinary_wire.py": "as the one before",
    "core/drishtiksha/database/migrate.py": "before any process starts",
    "operator/drishtiksha_operator/lean_kopf.py": "the ear: events are only reasons to look, and the sweep replaces it",
    "core/drishtiksha/database/browse.py": "the command line reads with it",
    "operator/drishtiksha_operator/health.py": "it listens",
    "api/drishtiksha_api/throttle.py": "it borrows the bus's connections, and counts alone without them (test_tries.py)",
}
"""Every module that has such a library or call, and how the wire sees it."""
ENGINE = {"core/drishtiksha/database/upkeep.py", "core/drishtiksha/database/audit_reads.py"}
"""Who takes the engine past `transaction`: the janitor's lock (its statements are seen), and the read-only witness."""


def verbs() -> set[str]:
    """All functions of the core that run a transaction."""
    found: set[str] = set()
    for path in (ROOT / "core/drishtiksha/database").glob("*.py"):
        found |= {".".join(names) for names, call in _calls(ast.parse(path.read_text())) if call == "transaction"}
    return found


def routes() -> set[str]:
    """All routes of the door, as the wire names them."""
    named = {f"{method} {route.path}" for route in router.routes for method in route.methods}  # type: ignore[attr-defined]
    return {_ARTIFACT.sub("/artifacts/*", name.replace("{name}", "x")) for name in named}


def methods() -> set[str]:
    """All public coroutines and streams of our clients."""
    return {f"{client.__name__}.{name}" for client in CLIENTS for name in _public(client)}


def watch(patch: pytest.MonkeyPatch) -> set[str]:
    """Note which of them are called from now on."""
    reached: set[str] = set()

    def noting(method: Any, name: str) -> Any:
        @functools.wraps(method)
        def call(*args: Any, **options: Any) -> Any:
            reached.add(name)
            return method(*args, **options)

        return call

    for client in CLIENTS:
        for name in _public(client):
            patch.setattr(client, name, noting(vars(client)[name], f"{client.__name__}.{name}"))
    return reached


def leaving() -> dict[str, set[str]]:
    """By module: the libraries and calls by which it leaves the process."""
    found: dict[str, set[str]] = {}
    for path, tree in _modules():
        names = {name for node in ast.walk(tree) for name in _named(node)}
        if leaves := {n for n in names if n in CALLS or any(n == lib or n.startswith(f"{lib}.") for lib in LEAVES)}:
            found[path] = leaves
    return found


def past_transaction() -> set[str]:
    """Modules that take the database's engine, or a session of their own."""
    return {
        path
        for path, tree in _modules()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "engine" and not path.endswith("session.py"))
        or (isinstance(node, ast.Call) and _name(node.func) == "AsyncSession" and not path.endswith("session.py"))
    }


def choke(path: str, call: str) -> list[str]:
    """In which functions of a module something is called."""
    tree = ast.parse((ROOT / path).read_text())
    return sorted(".".join(names) for names, called in _calls(tree) if called == call)


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in PROCESSES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def _calls(tree: ast.AST, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _calls(node, (*names, node.name))
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield names, node.func.attr
        yield from _calls(node, names)


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        yield node.module or ""
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call):
        yield _name(node.func)


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _public(client: type) -> list[str]:
    is_so = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    return [n for n, m in vars(client).items() if not n.startswith("_") and any(one(m) for one in is_so)]
