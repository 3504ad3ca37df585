"""The process that has imported everything, and forks: it hands the points out to workers, which fork for each of them.

`python -m kill_matrix.nursery INFRA PLAN`; what happens goes out by standard output, one JSON object per line. `matrix`
is at the other end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
import selectors
import socket
import sys
import threading
import traceback
from collections import deque
from typing import Any

from drishtiksha import logs

from . import restart, scenes
from .acts import BEGIN, BY_NAME, RESULT
from .house import Conditions, House, Infra
from .watched import MISSED, Counts, choose, in_share
from .worker import Said, Worker, move_in, move_out

TRIES = 6
"""A line that hangs on the moment (a conflict, a clock) may not be executed each time: it is tried in all its acts."""


def warm(house: House) -> None:
    """One of each once, so that no child has to import, compile or build what its siblings need too."""
    house.place = move_in(house.infra, "warm")

    async def play() -> None:
        async with house.enter(Conditions()) as on:
            for name in ("upload", "cancel", "delete", "rerun"):
                await BY_NAME[name].play(on, await BY_NAME[name].prepare(on))
            scene = await scenes.started(on)
            await BEGIN(on, scene)
            await RESULT(on, scene)
            await restart.judge(on, BY_NAME["result"], scene, died=False)

    asyncio.run(play())
    move_out(house.infra, house.place)


class Nursery:
    """Hands tasks to workers: first one recording per act, then the points that are chosen of all of them."""

    def __init__(self, house: House, plan: Said, out: int) -> None:
        self._house, self._plan, self._out = house, plan, out
        self._waiting: deque[Said] = deque({"act": name, "point": None} for name in plan["acts"])
        self._open = dict.fromkeys(plan["acts"], 1)
        """By act: what is still to be done, one for the recording."""
        self._recorded: dict[str, Counts] = {}
        self._workers = selectors.DefaultSelector()
        self._idle: list[socket.socket] = []
        self._forked: list[int] = []

    def run(self) -> None:
        """Until every act has been told as done."""
        for number in range(self._plan["workers"]):
            self._fork(number)
        while any(self._open.values()):
            while self._waiting and self._idle:
                self._idle.pop().sendall(json.dumps(self._waiting.popleft()).encode() + b"\n")
            for key, _ in self._workers.select():
                line = key.data.readline()
                if not line:
                    raise RuntimeError("a worker died")
                self._idle.append(key.fileobj)  # type: ignore[arg-type]
                self._hear(json.loads(line))
        for key in list(self._workers.get_map().values()):
            key.fileobj.shutdown(socket.SHUT_WR)  # type: ignore[union-attr]
        for pid in self._forked:
            os.waitpid(pid, 0)

    def _hear(self, answer: Said) -> None:
        act = answer["act"]
        if answer["point"] is None:
            self._recorded[act] = {(file, line): count for file, line, count in answer["counts"]}
            self._say(answer)
            if len(self._recorded) == len(self._open):
                self._choose()
        elif answer["wrong"] == [MISSED] and answer["try"] < TRIES:
            other, point = self._elsewhere(act, answer["point"])
            self._open[other] += 1
            self._waiting.append({"act": other, "point": point, "try": answer["try"] + 1})
            self._finish(act)
        else:
            answer.pop("counts")
            self._say(answer)
            self._finish(act)

    def _choose(self) -> None:
        """All acts are known: what is due of their points, act by act, from all over its lines."""
        chosen = choose({act: self._recorded[act] for act in self._open})
        for act, points in chosen.items():
            due = [p for p in points if in_share(act, p, self._plan["share"])]
            random.Random(act).shuffle(due)
            self._waiting.extend({"act": act, "point": [p.file, p.line, p.time], "try": 1} for p in due)
            self._open[act] += len(due)
            self._finish(act)

    def _elsewhere(self, act: str, point: list[Any]) -> tuple[str, list[Any]]:
        """The next act that executes a line, and its first execution there; the same act when there is no other."""
        file, line, time = point
        acts = [name for name in self._open if (file, line) in self._recorded[name]]
        other = acts[(acts.index(act) + 1) % len(acts)]
        return other, [file, line, time if other == act else 1]

    def _finish(self, act: str) -> None:
        self._open[act] -= 1
        if self._open[act] == 0:
            self._say({"act": act, "done": True})

    def _say(self, told: Said) -> None:
        line = json.dumps(told).encode() + b"\n"
        while line:
            line = line[os.write(self._out, line) :]

    def _fork(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                Worker(self._house, number).serve(theirs)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        theirs.close()
        self._forked.append(pid)
        self._workers.register(ours, selectors.EVENT_READ, ours.makefile("r"))
        self._idle.append(ours)


def main() -> None:
    """Warm up, then carry the plan out."""
    out = os.dup(1)
    os.dup2(2, 1)
    logs.configure("kill", level=logging.WARNING)
    infra = Infra(**json.loads(sys.argv[1]))
    os.chdir(infra.home)
    house = House(infra)
    warm(house)
    assert threading.active_count() == 1, f"a fork would lose {threading.enumerate()}"
    gc.collect()
    gc.freeze()
    Nursery(house, json.loads(sys.argv[2]), out).run()


if __name__ == "__main__":
    main()
