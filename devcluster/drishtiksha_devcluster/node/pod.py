"""The life of one pod on this node, told once in `PodOnNode._live`: sidecars up, main containers to their end, all down.

`node` makes one for each pod that is bound to it and passes on what the API says; `report` writes the status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from . import fields, launch
from .address import Address, NoAddressLeft
from .client import KubeClient
from .container import Container, Terminated, Waiting
from .faults import Faults
from .memory import MemoryWatch
from .probe import passes_startup
from .process import CannotStart
from .records import Records, log_folder, pod_folder
from .report import Reporter
from .secrets import read_secrets
from .status import Ending, Life

RESTART_SECONDS = 10.0
"""Pause before a sidecar's second restart; it doubles up to RESTART_CAP_SECONDS. The first restart is at once."""
RESTART_CAP_SECONDS = 300.0
RESTART_FORGIVEN_SECONDS = 600.0
"""A sidecar that ran so long starts again without a pause."""
SIDECAR_GRACE_SECONDS = 2.0
"""What a sidecar has at least, when the main containers used up the grace."""
_log = structlog.get_logger()


@dataclass(frozen=True)
class Ground:
    """What all pods of a node stand on."""

    node: str
    host: str
    home: Path
    images: Path
    path: str
    client: KubeClient
    probes: aiohttp.ClientSession
    memory: MemoryWatch
    faults: Faults
    records: Records


class PodOnNode:
    """One pod, from the moment it is bound to this node until it is gone from the API."""

    def __init__(self, pod: dict[str, Any], ground: Ground) -> None:
        self.pod = pod
        self._ground = ground
        self._folder = pod_folder(ground.home, pod["metadata"]["uid"])
        self._address: Address | None = None
        spec = pod["spec"]
        first = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
        self.life = Life(
            containers=[Container(one, False, first, self._changed) for one in spec["containers"]],
            sidecars=[Container(one, True, first, self._changed) for one in spec.get("initContainers") or []],
            host=ground.host,
            began=datetime.now(UTC),
        )
        self._reporter = Reporter(ground.client, self.life, lambda: self.pod)
        self._living: asyncio.Task[None] | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self._released = asyncio.Event()
        self._ending_asked = False
        self._grace = float(spec.get("terminationGracePeriodSeconds") or 0)
        self._gone = False
        self._told = False
        """Whether the API knows how it ended: only then may a deletion be confirmed, or the end would never be seen."""

    async def run(self) -> None:
        """Live, end, and say how it ended; return when the API knows it or the pod is gone."""
        reporting = asyncio.create_task(self._reporter.run())
        try:
            self._living = asyncio.create_task(self._live())
            if self._ending_asked:
                self._living.cancel()
            await asyncio.wait({self._living})
            if not self._living.cancelled() and (error := self._living.exception()) is not None:
                _log.error("a pod could not be run", pod=self.pod["metadata"]["name"], exc_info=error)
                self._end_as(Ending("ProcessNodeError", str(error)))
            await self._stop_everything()
        finally:
            self._clear_away()
        if self._gone:
            reporting.cancel()
        await asyncio.wait({reporting})
        await self._confirm_deletion()

    async def report_lost(self) -> None:
        """The node was killed while this pod ran: all its containers ended with it, so the pod has failed."""
        now = datetime.now(UTC)
        for one in [*self.life.sidecars, *self.life.containers]:
            one.state = Terminated(137, "Error", None, now, "the process of this container ended with its node")
        self._end_as(Ending("NodeProcessRestarted", "the node process was restarted; its pods ended with it"))
        self._clear_away()
        await self._reporter.run()
        await self._confirm_deletion()

    async def is_over(self) -> None:
        """The pod had ended in an earlier life of this node: only its deletion is left to answer."""
        self.life.ended = True
        await self._confirm_deletion()

    def observe(self, pod: dict[str, Any]) -> Awaitable[None] | None:
        """Take a newer state of the pod from the API; returns what is left to do when it has ended already."""
        self.pod = pod
        grace = pod["metadata"].get("deletionGracePeriodSeconds") or 0
        if not pod["metadata"].get("deletionTimestamp"):
            return None
        if self._told and grace > 0:  # 0: confirmed already, it only waits for a finalizer
            return self._confirm_deletion()
        if not self.life.ended:
            self.stop(Ending(), float(grace))
        return None

    def gone(self) -> None:
        """The pod is no longer in the API: end it at once and report nothing."""
        self._gone = True
        self.stop(Ending(), 0)

    def stop(self, ending: Ending, grace: float | None = None) -> None:
        """End the pod. A second call can only shorten the grace (seconds; default: the pod's own)."""
        self._grace = min(self._grace, grace) if grace is not None else self._grace
        asyncio.get_running_loop().call_later(self._grace + SIDECAR_GRACE_SECONDS * (self._grace > 0), self._kill_all)
        if self._ending_asked or (self._living is not None and self._living.done()):
            return
        self._ending_asked = True
        self._end_as(ending)
        if self._living is not None:
            self._living.cancel()

    def obey(self) -> None:
        """Do what the fault file asks of this pod (`faults`)."""
        kinds = self._ground.faults.of(self.pod["metadata"])
        if not kinds & {"pending", "image-pull"}:
            self._released.set()
        for one in [*self.life.containers, *self.life.sidecars]:
            one.freeze("freeze" in kinds)
        if "evict" in kinds and any(one.running for one in self.life.containers):
            self.stop(Ending("Evicted", "The node was asked to evict this pod.", disruption=True))
        for one in self.life.containers if "oom" in kinds else []:
            one.run_out_of_memory()
        for one in self.life.sidecars if "oom-sidecar" in kinds else []:
            one.run_out_of_memory()

    async def _live(self) -> None:
        # The deadline counts from here: waiting for an image or a sidecar is part of it, as on a kubelet.
        if seconds := self.pod["spec"].get("activeDeadlineSeconds"):
            deadline = Ending("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            asyncio.get_running_loop().call_later(seconds, self._unless_ended, lambda: self.stop(deadline))

        # A field that we would silently ignore fails the pod by its name.
        if field := fields.unsupported(self.pod["spec"]):
            self._end_as(Ending(fields.REASON, f"{field} is not honoured by a process node"))
            return

        self._make_place()
        await self._hold_back()
        launches = await self._prepare()

        # Each sidecar has to be up before the next one, and all before the main containers.
        for one in self.life.sidecars:
            keeper = asyncio.create_task(self._keep_up(one, launches[one.name]))
            self._keepers.append(keeper)
            await self._until_started(one, keeper)
        for one in self.life.containers:
            self._start(one, launches[one.name])
            one.mark_started()
        self.obey()
        await asyncio.gather(*(one.ended() for one in self.life.containers))

    def _make_place(self) -> None:
        try:
            self._address = Address(self.pod["metadata"]["uid"])
        except NoAddressLeft as error:
            raise RuntimeError(str(error)) from error
        self.life.address = self._address.text
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True, mode=0o700)
        for volume in self.pod["spec"].get("volumes") or []:
            launch.volume_folder(self._folder, volume["name"]).mkdir(parents=True, exist_ok=True)

    async def _hold_back(self) -> None:
        kinds = self._ground.faults.of(self.pod["metadata"])
        if "image-pull" in kinds:
            for one in [*self.life.sidecars, *self.life.containers]:
                one.wait_for("ImagePullBackOff", f'Back-off pulling image "{one.spec["image"]}": the node was asked to')
        if kinds & {"image-pull", "pending"}:
            await self._released.wait()

    async def _prepare(self) -> dict[str, launch.Launch]:
        """Find image and environment of all containers; what is missing is waited for, with its reason in the status."""
        pause, metadata = 0.25, self.pod["metadata"]
        logs = log_folder(self._ground.home, metadata["namespace"], metadata["name"], metadata["uid"])
        place = launch.Place(self._folder, logs, self.life.address or "", self._ground.node, self._ground.path)
        while True:
            launches: dict[str, launch.Launch] = {}
            everybody = [*self.life.sidecars, *self.life.containers]
            try:
                images = launch.read_images(self._ground.images)
                secrets = await read_secrets(
                    self._ground.client, metadata["namespace"], launch.secret_names(self.pod["spec"])
                )
            except launch.ConfigError as error:
                for one in everybody:
                    one.wait_for("CreateContainerConfigError", str(error))
            else:
                for one in everybody:
                    try:
                        launches[one.name] = launch.build(self.pod, one.spec, place, images, secrets)
                    except launch.UnknownImage as error:
                        again = isinstance(one.state, Waiting) and one.state.reason in (
                            "ErrImagePull",
                            "ImagePullBackOff",
                        )
                        back_off = f'Back-off pulling image "{one.spec["image"]}": ErrImagePull: {error}'
                        one.wait_for(*(("ImagePullBackOff", back_off) if again else ("ErrImagePull", str(error))))
                    except launch.ConfigError as error:
                        one.wait_for("CreateContainerConfigError", str(error))
                if len(launches) == len(everybody):
                    for one in everybody:
                        one.wait_for("PodInitializing" if self.life.sidecars else "ContainerCreating")
                    return launches
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)

    async def _keep_up(self, one: Container, command: launch.Launch) -> None:
        """Start a sidecar, and again whenever it ends, until this task is cancelled."""
        pause = 0.0
        while True:
            self._start(one, command)
            probing = asyncio.create_task(self._wait_for_startup(one))
            try:
                end = await one.ended()
            finally:
                probing.cancel()
            if end.started and (end.finished - end.started).total_seconds() > RESTART_FORGIVEN_SECONDS:
                pause = 0.0
            if pause:
                one.wait_for("CrashLoopBackOff", f"back-off {pause:.0f}s restarting failed container={one.name}")
                await asyncio.sleep(pause)
            one.restarts += 1
            pause = min(max(RESTART_SECONDS, pause * 2), RESTART_CAP_SECONDS)

    async def _until_started(self, one: Container, keeper: asyncio.Task[None]) -> None:
        started = asyncio.create_task(one.started.wait())
        try:
            await asyncio.wait({started, keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            started.cancel()
        if keeper.done():
            keeper.result()

    async def _wait_for_startup(self, one: Container) -> None:
        probe = one.spec.get("startupProbe")
        if probe is None or await passes_startup(self._ground.probes, one.spec, probe, self.life.address or ""):
            if one.running:
                one.mark_started()
        else:
            _log.warning("a sidecar did not start in time", pod=self.pod["metadata"]["name"], container=one.name)
            await one.stop(self._grace)

    def _start(self, one: Container, command: launch.Launch) -> None:
        one.start(command, self._ground.memory)
        if not one.sidecar and "twin" in self._ground.faults.of(self.pod["metadata"]) and one.running:
            with suppress(CannotStart):
                one.start_twin()
        running = [*self.life.sidecars, *self.life.containers]
        self._ground.records.write(
            self.pod["metadata"]["uid"], {each.name: each.process for each in running if each.process and each.running}
        )

    async def _stop_everything(self) -> None:
        """Main containers first, then the sidecars, last started first; the grace is for all together."""
        deadline = asyncio.get_running_loop().time() + self._grace
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        await asyncio.gather(*(one.stop(self._grace) for one in self.life.containers))
        for one in reversed(self.life.sidecars):
            left = deadline - asyncio.get_running_loop().time()
            await one.stop(max(left, min(SIDECAR_GRACE_SECONDS, self._grace)))

    def _clear_away(self) -> None:
        self._kill_all()
        if self._address is not None:
            self._address.release()
        self._ground.records.forget(self.pod["metadata"]["uid"])
        self.life.ended = True
        self._changed()

    async def _confirm_deletion(self) -> None:
        self._told = True
        if self.pod["metadata"].get("deletionTimestamp") and not self._gone:
            await self._reporter.remove()

    def _unless_ended(self, act: Callable[[], None]) -> None:
        if not self.life.ended:
            act()

    def _end_as(self, ending: Ending) -> None:
        if not self.life.ending.reason:
            self.life.ending = ending

    def _kill_all(self) -> None:
        for one in [*self.life.containers, *self.life.sidecars]:
            one.kill()

    def _changed(self) -> None:
        self._reporter.look()
