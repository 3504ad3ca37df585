"""The troubles among the rules of a plan, and how each is ended: `hands` adds what people do.

Each is noted in the weather when it begins and when it ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace

import psutil
from world import Running, World

from drishtiksha_devcluster import apps
from drishtiksha_devcluster.ports import free_port

from .clock import jump
from .company import Company
from .ground import Ground
from .weather import Weather, script_file

SECOND = "operator-2"


class Troubles:
    """What can be done to one world, and to its ground where it has one of its own."""

    def __init__(self, world: World, ground: Ground | None) -> None:
        self.world, self.ground = world, ground
        self.company, self.weather = Company(), Weather()
        self.away: set[str] = {SECOND}
        """Processes that we keep dead for now."""
        ports = {**world.wiring.ports, "operator-metrics": free_port()}
        second = replace(apps.operator(replace(world.wiring, ports=ports)), name=SECOND)
        world.processes.setdefault(SECOND, Running(second, world.folder / f"{SECOND}.log"))

    # -- our processes ------------------------------------------------------------------------------------------------

    def models(self, script: str) -> None:
        self.world.script(script_file(script))
        self.weather.tell(script)

    def kill(self, name: str) -> None:
        self.weather.begin(f"{name} away")
        self.away.add(name)
        self.world[name].kill()

    def start(self, name: str) -> None:
        if name in self.away:
            self.away.discard(name)
            self.world[name].start(ready=False)
        self.weather.end(f"{name} away")

    def pause(self, name: str) -> None:
        """Stopped, not killed: its connections stay open and nobody answers."""
        running = self._running(name)
        if running.alive:
            self.weather.begin(f"{name} away")
            os.killpg(running.pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """It goes on where it was, however much has happened since."""
        running = self._running(name)
        if running.alive:
            os.killpg(running.pid, signal.SIGCONT)
        if name not in self.away:
            self.weather.end(f"{name} away")

    def second_operator(self) -> None:
        self.weather.begin("two operators")
        self.start(SECOND)

    def one_operator(self) -> None:
        self.away.add(SECOND)
        self.world[SECOND].kill()
        self.weather.end("two operators")

    def kill_runner(self) -> None:
        door = self.world.wiring.door_url
        runners = sorted(p.pid for p in psutil.process_iter() if _is_runner(p, door))
        if runners:
            self.weather.strike("runner killed")
            with contextlib.suppress(ProcessLookupError):
                os.kill(runners[len(runners) // 2], signal.SIGKILL)

    # -- the ground ---------------------------------------------------------------------------------------------------

    def node_fault(self, kind: str) -> None:
        self.weather.begin(f"node: {kind}")
        self._ground.trouble(kind, self.world.namespace)

    def node_calm(self) -> None:
        self._ground.trouble(None, self.world.namespace)
        for kind in {s.kind for s in self.weather.spells if s.kind.startswith("node: ")}:
            self.weather.end(kind)

    def restart_node(self) -> None:
        self.weather.strike("node killed")
        self._ground.restart("cpu-0")

    def kill_control_plane(self, name: str) -> None:
        self.weather.strike(f"{name} killed")
        self._ground.restart(name)

    def compact_etcd(self) -> None:
        self.weather.strike("etcd compacted")
        self._ground.compact()

    def wipe_etcd(self) -> None:
        self.weather.begin("etcd wiped")
        self._ground.wipe(self.world.namespace)
        self.weather.end("etcd wiped")

    def restart_postgres(self) -> None:
        self.weather.strike("postgres killed")
        self._ground.restart("postgres")

    def flush_valkey(self) -> None:
        if self._ground["valkey"].alive:
            self.weather.strike("valkey flushed")
            self._ground.flush()

    def kill_valkey(self) -> None:
        self.weather.begin("valkey away")
        self._ground["valkey"].kill()

    def start_valkey(self) -> None:
        if not self._ground["valkey"].alive:
            self._ground["valkey"].start()
        self.weather.end("valkey away")

    def jump(self, seconds: str) -> None:
        """The database's clock seems to run ahead: all rows are aged at once, and our notes with them."""
        self.weather.strike("clock jumped")
        jump(self.world.database_url, float(seconds))
        self.weather.shift(float(seconds))
        self.company.shift(float(seconds))

    def _running(self, name: str) -> Running:
        return self.world[name] if name in self.world.processes else self._ground[name]

    @property
    def _ground(self) -> Ground:
        assert self.ground is not None, "this rule wants a ground of its own"
        return self.ground


def _is_runner(process: psutil.Process, door_url: str) -> bool:
    try:
        words = process.cmdline()
        return "drishtiksha_jobrunner.main" in words and process.environ().get("DRISHTIKSHA_DOOR_URL") == door_url
    except psutil.Error:
        return False
