"""The parent of all processes of one platform: `python -m drishtiksha_devcluster.supervisor --home …`.

One per state folder, in a session of its own, held by a file lock. It knows specs (process.py) and lives (child.py),
nothing of what they are for; `control.py` talks to it, `platform.py` decides what runs. When it is killed, the kernel
ends its children; what is left is found by the pid file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .child import Child, Pace
from .control import listening_socket
from .process import ProcessSpec, Trace, adopt_orphans, end, trace
from .ready import is_ready

_LINE_LIMIT = 4 * 1024 * 1024
"""Bytes of one request on the control socket."""

_ORPHANS_EVERY = 10.0
"""Seconds between two looks for descendants that lost their parent."""


class Supervisor:
    """All children, their pid file, and the requests about them. Each request is one method `do_<op>`."""

    def __init__(self, home: Path, *, pace: Pace | None = None) -> None:
        self.home, self.pace = home, pace or Pace()
        self.children: dict[str, Child] = {}
        self.over = asyncio.Event()
        self._changed = asyncio.Condition()
        self._stopping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve requests until a shutdown is asked for or SIGTERM comes; then stop everything in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.begin_shutdown)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        adopt_orphans()
        self._write_pids()
        with listening_socket(self.home) as listener:
            server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_LINE_LIMIT)
            self._say("the supervisor is ready", home=str(self.home), pid=os.getpid())
            async with server:
                orphans = loop.create_task(self._end_orphans())
                await self.over.wait()
                orphans.cancel()
        self._say("the supervisor ends")

    def begin_shutdown(self) -> asyncio.Task[None]:
        """Stop everything, dependents first; the same task however often it is asked for."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._shut_down())
        return self._stopping

    async def do_status(self, request: dict[str, Any]) -> dict[str, Any]:
        """All processes; with `probe` those that are up are asked again whether they are ready."""
        names = sorted(self.children)
        described = [self.children[name].describe(int(request.get("lines", 0))) for name in names]
        if request.get("probe"):
            up = [one for one in described if one["state"] == "ready" and one["ready"]]
            for one, answer in zip(up, await asyncio.gather(*(is_ready(one["ready"]) for one in up)), strict=True):
                one["state"] = "ready" if answer else "not ready"
        return {"pid": os.getpid(), "processes": described}

    async def do_add(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take a spec and start it. `change` says: new, same, or changed (then it was restarted)."""
        spec = ProcessSpec.from_json(request["spec"])
        known = self.children.get(spec.name)
        if known is not None and known.spec == spec:
            if request.get("start", True):
                known.start()
            return {"change": "same"}
        if known is not None:
            await known.stop()
        child = Child(
            spec, self.home / "logs", gate=self._neighbours_ready, changed=self._notify, say=self._say, pace=self.pace
        )
        self.children[spec.name] = child
        if request.get("start", True):
            child.start()
        return {"change": "new" if known is None else "changed"}

    async def do_start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a process that is known."""
        self._child(request["name"]).start()
        return {}

    async def do_stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Stop a process and keep it stopped. Answers when it is gone."""
        await self._child(request["name"]).stop()
        return {}

    async def do_restart(self, request: dict[str, Any]) -> dict[str, Any]:
        """Stop it and start it."""
        child = self._child(request["name"])
        await child.stop()
        child.start()
        return {}

    async def do_remove(self, request: dict[str, Any]) -> dict[str, Any]:
        """Stop a process and forget it."""
        await self._child(request["name"]).stop()
        del self.children[request["name"]]
        return {}

    async def do_wait(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wait until these are ready, or one of them is down for good, or `timeout` seconds have passed."""
        names = list(request["names"])

        def settled() -> bool:
            states = [self._child(name).state for name in names]
            return "down" in states or all(state == "ready" for state in states)

        async with self._changed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait_for(settled), float(request.get("timeout", 60)))
        return {"processes": [self._child(name).describe(int(request.get("lines", 12))) for name in names]}

    async def do_shutdown(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Stop everything; answers when all is gone, then the supervisor ends."""
        await asyncio.shield(self.begin_shutdown())
        return {}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a line in, a line out, any number of times."""
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):  # cancelled: the supervisor ends
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            action: Callable[[dict[str, Any]], Any] | None = getattr(self, f"do_{request['op']}", None)
            if action is None:
                raise ValueError(f"unknown request {request['op']!r}")
            return {"ok": True, **await action(request)}
        except (ValueError, KeyError, TypeError) as error:
            return {"ok": False, "error": str(error.args[0]) if error.args else repr(error)}

    def _child(self, name: str) -> Child:
        if name not in self.children:
            raise ValueError(f"no process {name!r}; there are: {', '.join(sorted(self.children)) or 'none'}")
        return self.children[name]

    async def _neighbours_ready(self, child: Child) -> None:
        def ready() -> bool:
            missing = [n for n in child.spec.needs if n not in self.children or self.children[n].state != "ready"]
            child.reason = f"waits for {', '.join(missing)}" if missing else None
            return not missing

        async with self._changed:
            await self._changed.wait_for(ready)

    async def _shut_down(self) -> None:
        self._say("everything is stopped", processes=sorted(self.children))
        gone = {name: asyncio.Event() for name in self.children}

        async def stop(child: Child) -> None:
            dependents = [n for n, other in self.children.items() if child.spec.name in other.spec.needs]
            for name in dependents:
                await gone[name].wait()
            await child.stop()
            gone[child.spec.name].set()

        await asyncio.gather(*(stop(child) for child in self.children.values()))
        await asyncio.to_thread(end, _orphans({os.getpid()}), grace=2.0)
        self.over.set()

    async def _end_orphans(self) -> None:
        """Descendants whose parent died are ours now (adopt_orphans): end them, and reap those that have ended."""
        while True:
            await asyncio.sleep(_ORPHANS_EVERY)
            ours = {child.trace.pid for child in self.children.values() if child.trace}
            lost = _orphans(ours)
            if lost:
                self._say("processes lost their parent and are ended", count=len(lost))
                await asyncio.to_thread(end, lost, grace=5.0)
            _reap(ours)

    def _notify(self) -> None:
        self._write_pids()

        async def wake() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _write_pids(self) -> None:
        ours = trace(os.getpid())
        assert ours is not None
        body = {
            "supervisor": [ours.pid, ours.started],
            "processes": {n: [c.trace.pid, c.trace.started] for n, c in self.children.items() if c.trace},
        }
        path = self.home / "run" / "pids.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(body))
        partial.replace(path)

    def _say(self, event: str, **facts: Any) -> None:
        now = time.time()
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
        line = json.dumps({"event": event, "process": "supervisor", "time": clock, **facts})
        print(line, file=sys.stderr, flush=True)


def _children_of_ours() -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()[1] == str(
                    os.getpid()
                ):
                    found.append(int(entry))
    return found


def _orphans(known: set[int]) -> list[Trace]:
    return [seen for pid in _children_of_ours() if pid not in known and (seen := trace(pid))]


def _reap(known: set[int]) -> None:
    for pid in _children_of_ours():
        if pid not in known:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def main() -> None:
    """Hold the state folder's lock and run until everything has been stopped."""
    parser = argparse.ArgumentParser(prog="drishtiksha_devcluster.supervisor", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--first-pause", type=float, default=Pace.first, help="seconds before the first restart")
    options = parser.parse_args()
    home: Path = options.home.resolve()
    (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(home / "run" / "supervisor.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"another supervisor holds {home}")
        asyncio.run(_run(home, Pace(first=options.first_pause)))


async def _run(home: Path, pace: Pace) -> None:
    await Supervisor(home, pace=pace).run()


if __name__ == "__main__":
    main()
