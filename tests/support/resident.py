"""How much memory the runners of a world held at their highest moment, looked at ten times a second while a block runs."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import psutil

LOOK_SECONDS = 0.1
MIB = 1024 * 1024


class Resident:
    """`with Resident(door_url, door=pid) as seen:`; then `seen.runners` by the name of the Job, and `seen.door`, in bytes."""

    def __init__(self, door_url: str, *, door: int) -> None:
        self.runners: dict[str, int] = {}
        self.door = 0
        self._url, self._door = door_url, psutil.Process(door)
        self._known: dict[int, tuple[psutil.Process, str] | None] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.door = max(self.door, self._door.memory_info().rss)
            for pid in psutil.pids():
                if pid not in self._known:
                    self._known[pid] = self._runner(pid)
                if known := self._known[pid]:
                    self._look(*known)

    def _runner(self, pid: int) -> tuple[psutil.Process, str] | None:
        try:
            process = psutil.Process(pid)
            mine = "drishtiksha_jobrunner.main" in process.cmdline()
            told = process.environ() if mine else {}
        except psutil.Error:
            return None
        if told.get("DRISHTIKSHA_DOOR_URL") != self._url:
            return None
        return process, told["HOSTNAME"].rpartition("-")[0]

    def _look(self, process: psutil.Process, job: str) -> None:
        try:
            self.runners[job] = max(self.runners.get(job, 0), process.memory_info().rss)
        except psutil.Error:
            self._known[process.pid] = None
