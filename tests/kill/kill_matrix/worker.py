"""A worker: takes one point after the other, and forks for each a child that dies and one that starts everything anew.

`nursery` forks the workers and hands out the points. A worker stands in a place of its own: a database, a namespace, a folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import uvicorn

from drishtiksha.kubeconfig import from_file
from drishtiksha_devcluster.install import Cluster, folder, home_of, in_namespace, objects

from . import restart
from .acts import BY_NAME, Act
from .house import OBJECTS, TOLD, House, Infra, Place
from .scenes import Scene
from .watched import MISSED, Point, Watch

STRETCH = 20
"""Points in one database and one namespace: both stay small, and the audit of each point cheap."""
LIMIT = 240.0
"""Seconds for one child."""

Said = dict[str, Any]


# -- children -----------------------------------------------------------------------------------------------------------


def child(work: Callable[[], Said]) -> tuple[int, Said | None]:
    """Run `work` in a fork; its wait status, and what it said if it lived to say it. Its log is the file `log`."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            os.dup2(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            said = json.dumps(work()).encode()
            while said:
                said = said[os.write(write, said) :]
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(write)
    held, end = b"", time.monotonic() + LIMIT
    while True:
        ready, _, _ = select.select([read], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            os.kill(pid, signal.SIGKILL)
            held = b""
        chunk = os.read(read, 65536)
        if not chunk:
            break
        held += chunk
    os.close(read)
    _, status = os.waitpid(pid, 0)
    return status, json.loads(held) if held else None


def perform(house: House, act: Act, watch: Watch) -> Said:
    """The first child: the scene, and then the act, watched."""

    async def play() -> None:
        async with house.enter(act.world) as on:
            scene = await act.prepare(on)
            Path("scene").write_text(json.dumps(asdict(scene)))
            TOLD.unlink(missing_ok=True)
            await on.as_if_just_started()
            house.entering = watch.here
            watch.arm()
            await act.play(on, scene)
            watch.disarm()

    asyncio.run(play())
    return {"counts": [[file, line, count] for (file, line), count in watch.counts.items()]}


def recover(house: House, act: Act, *, died: bool) -> Said:
    """The second child: everything is started anew."""

    async def judge() -> list[str]:
        async with house.enter(act.after or act.world) as on:
            return await restart.judge(on, act, Scene(**json.loads(Path("scene").read_text())), died=died)

    return {"wrong": asyncio.run(judge())}


# -- workers ------------------------------------------------------------------------------------------------------------


class Worker:
    """One place after the other, and in each a stretch of points."""

    def __init__(self, house: House, number: int) -> None:
        self._house, self._number = house, number
        self._stretch = 0
        self._left = 0
        self._door: int | None = None

    def serve(self, lines: socket.socket) -> None:
        """A task per line, an answer per line, until the nursery hangs up."""
        with lines.makefile("rw") as file:
            for line in file:
                task = json.loads(line)
                file.write(json.dumps(self._do(BY_NAME[task["act"]], task)) + "\n")
                file.flush()
        self._leave()

    def _do(self, act: Act, task: Said) -> Said:
        began = time.monotonic()
        point = Point(*task["point"]) if task["point"] else None
        if self._left == 0 or act.alone:
            self._leave()
            self._stretch += 1
            self._left = STRETCH
            self._house.place = move_in(self._house.infra, f"{self._number}-{self._stretch}")
        self._left -= 1
        if act.door and not self._house.place.door:
            self._open_door()
        for name in ("log", "scene"):
            Path(name).unlink(missing_ok=True)
        watch = Watch(point)
        status, said = child(lambda: perform(self._house, act, watch))
        died = os.WIFSIGNALED(status) and said is None
        answer: Said = {**task, "died": died, "counts": (said or {}).get("counts", []), "wrong": []}
        if not died and said is None:
            answer["wrong"] = ["the act itself failed"]
        elif point is not None and not died:
            answer["wrong"] = [MISSED]
        if Path("scene").exists():
            status, said = child(lambda: recover(self._house, act, died=died))
            answer["wrong"] += (said or {"wrong": ["the restart itself failed"]})["wrong"]
        if answer["wrong"]:
            answer["log"] = Path("log").read_text(errors="replace")[-6000:] if Path("log").exists() else ""
            self._left = 0  # whatever is wrong here stays here
        return {**answer, "seconds": time.monotonic() - began}

    def _open_door(self) -> None:
        """The door in a process of its own, for runners that die."""
        listening = socket.create_server(("127.0.0.1", 0))
        pid = os.fork()
        if pid == 0:
            config = uvicorn.Config(self._house.door, log_config=None, lifespan="off", log_level="warning")
            with suppress(BaseException):
                asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
            os._exit(0)
        self._door = pid
        self._house.place.door = f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.close()

    def _leave(self) -> None:
        if self._door is not None:
            os.kill(self._door, signal.SIGKILL)
            os.waitpid(self._door, 0)
            self._door = None
        if self._stretch:
            move_out(self._house.infra, self._house.place)


def move_in(infra: Infra, name: str) -> Place:
    """A database, a namespace with our rights, and a folder to stand in."""
    place = Place(f"kill_{name.replace('-', '_')}", f"kill-{name}")
    with psycopg.connect(infra.server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {place.database} TEMPLATE {infra.template} STRATEGY FILE_COPY".encode())
    identities = Path(infra.kubeconfigs)
    with Cluster(from_file(identities / "admin.yaml"), 60.0) as cluster:
        cluster.apply(home_of(place.namespace), place.namespace)
        for item in objects(folder("charts/drishtiksha/files/rbac", "rbac")):
            cluster.apply(in_namespace(item, place.namespace), place.namespace)
        account = f"/api/v1/namespaces/{place.namespace}/serviceaccounts/default"
        cluster.wait(account, lambda body: True, "the default service account")
    kind = f"/apis/drishtiksha.io/v1alpha1/namespaces/{place.namespace}/mediaanalyses"
    for identity in ("drishtiksha-operator", "drishtiksha-api"):
        with Cluster(from_file(identities / f"{identity}.yaml"), 60.0) as cluster:
            cluster.wait(kind, lambda body: True, "the roles to be in force")
    home = Path(infra.home) / name
    (home / OBJECTS).mkdir(parents=True)
    os.chdir(home)
    return place


def move_out(infra: Infra, place: Place) -> None:
    """The database and the folder go; the namespace stays, for nobody looks into it again."""
    with psycopg.connect(infra.server, autocommit=True) as server:
        server.execute(f"DROP DATABASE {place.database} WITH (FORCE)".encode())
    left = Path.cwd()
    os.chdir(infra.home)
    shutil.rmtree(left, ignore_errors=True)
