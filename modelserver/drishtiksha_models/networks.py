"""The networks of bundles as the service sees them: a process each, started when somebody needs it, started again when it dies.

`pool` holds those that its workers may ask; `bundles/asked.py` is the process. All of it runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from . import frames

log = structlog.get_logger()

START_LIMIT = 120.0
"""Seconds for a network to be loaded."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a network that died is started again; doubled while it does not come up."""


@dataclass(eq=False)
class _Network:
    place: Path
    holders: int = 0
    name: str | None = None
    crashed: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """It was loaded, refused, or has died of loading."""
    life: asyncio.Task[None] | None = None


class Networks:
    """Processes by the folder of the bundle. What they told stays when they end: counts only grow."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        """`home`: a private folder, in which the sockets lie."""
        self._environment = dict(environment)
        self._home = home / "networks"
        self._count = 0
        self._here: dict[Path, _Network] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.deaths = 0
        self.runs: Counter[str] = Counter()
        """Runs by the name of the bundle."""
        self.requests: Counter[str] = Counter()
        """Requests in those runs; a request with more samples than fit in a run counts in each."""
        self.samples: Counter[str] = Counter()

    def hold(self, bundles: Iterable[Path]) -> None:
        """Have these there until they are released as often."""
        for bundle in bundles:
            if bundle not in self._here:
                self._start(bundle)
            self._here[bundle].holders += 1

    async def settled(self, bundles: Iterable[Path]) -> None:
        """Wait until each of these, which somebody holds, is loaded, refused or has died of loading."""
        for network in [self._here[bundle] for bundle in bundles]:
            await network.settled.wait()

    def release(self, bundles: Iterable[Path]) -> None:
        """The counterpart of `hold`; what nobody holds is ended."""
        for bundle in bundles:
            network = self._here.get(bundle)
            if network is None:  # closed meanwhile
                continue
            network.holders -= 1
            if network.holders == 0:
                self._end(self._here.pop(bundle))

    def places(self, bundles: Iterable[Path]) -> dict[str, str]:
        """Where each can be asked."""
        return {str(bundle): str(self._here[bundle].place) for bundle in bundles}

    def crashed(self, bundles: Iterable[Path]) -> list[str]:
        """Names of those whose loading ended their process."""
        return [n.name for b in bundles if (n := self._here[b]).crashed and n.name is not None]

    async def close(self) -> None:
        """Kill all and wait until they are gone."""
        for network in self._here.values():
            self._end(network)
        self._here.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self, bundle: Path) -> None:
        self._home.mkdir(mode=0o700, exist_ok=True)
        self._count += 1
        network = self._here[bundle] = _Network(self._home / f"{self._count}.socket")
        network.life = asyncio.create_task(self._live(bundle, network))

    def _end(self, network: _Network) -> None:
        if network.life is not None:
            network.life.cancel()
            self._ending.add(network.life)
            network.life.add_done_callback(self._ending.discard)
        network.settled.set()

    async def _live(self, bundle: Path, network: _Network) -> None:
        """Start it, again when it dies; one that never could be loaded is left."""
        pause = _FIRST_PAUSE
        while True:
            try:
                ready = await self._once(bundle, network)
            except OSError:
                log.exception("a network's process could not be started", bundle=bundle.name)
                ready = False
            if ready:
                pause = _FIRST_PAUSE
                self.deaths += 1
            elif not network.settled.is_set():
                network.crashed = True
                network.settled.set()
                return
            log.error("a network's process died; it is started again", model=network.name, seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _once(self, bundle: Path, network: _Network) -> bool:
        """One process from its start to its end; whether it was ready in between."""
        began, ready = time.monotonic(), False
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "drishtiksha_models.bundles.asked", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, env=self._environment, start_new_session=True,
        )  # fmt: skip
        try:
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("a network's process has pipes")
            process.stdin.write(frames.pack({"bundle": str(bundle), "socket": str(network.place)}))
            async with asyncio.timeout(START_LIMIT) as limit:
                while (message := await frames.receive(process.stdout)) is not None:
                    if "loading" in message:
                        network.name = str(message["loading"])
                    elif "ready" in message:
                        ready = True
                        limit.reschedule(None)
                        network.settled.set()
                        seconds = round(time.monotonic() - began, 2)
                        log.info("a network is ready", model=network.name, pid=process.pid, seconds=seconds)
                    else:
                        self._count_run(network, message["batch"])
        except TimeoutError:
            log.error("a network was not loaded in time", model=network.name)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return ready

    def _count_run(self, network: _Network, run: list[int]) -> None:
        name = network.name or ""
        self.runs[name] += 1
        self.requests[name] += run[0]
        self.samples[name] += run[1]
