"""Takes the steps of a plan: one method per rule. What is answered becomes a promise, what is broken becomes weather.

A neighbour that is away is no failure here (503, or no answer); any other answer than those of the contract is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
from world import Running, World

from drishtiksha_devcluster import apps
from drishtiksha_devcluster.ephemeral import KubectlFailed
from drishtiksha_devcluster.ports import free_port

from .clock import jump
from .company import Company, Customer, Ear, Promise, now
from .ground import Ground
from .plan import Step
from .weather import Weather, script_file

BAD = {
    "text": ("notes.mp4", b"these are words and no video\n" * 20),
    "empty": ("empty.png", b""),
    "torn": ("torn.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 200),
    "playlist": ("list.mp4", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"),
}
SECOND = "operator-2"


class Hands:
    """One world, and its ground where it has one of its own."""

    def __init__(self, world: World, files: dict[str, Path], ground: Ground | None = None) -> None:
        self.world, self.ground, self.files = world, ground, files
        self.company, self.weather = Company(), Weather()
        self.steps: Counter[str] = Counter()
        self.away: set[str] = set()
        """Processes that we keep dead for now."""
        self.came_back: Counter[str] = Counter()
        """Processes that ended by themselves and were started again, as a supervisor does."""
        wiring = world.wiring
        ports = {**wiring.ports, "operator-metrics": free_port()}
        second = replace(apps.operator(replace(wiring, ports=ports)), name=SECOND)
        world.processes.setdefault(SECOND, Running(second, world.folder / f"{SECOND}.log"))
        self.away.add(SECOND)
        self.models("whole")

    # -- the course of things -----------------------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        """One step, and what a supervisor and clients do all the time."""
        getattr(self, step.rule)(*step.words)
        self.steps[step.rule] += 1
        self.keep_alive()

    def keep_alive(self) -> None:
        """Start again what has ended by itself; bring ears back that should listen."""
        for name, running in self.world.processes.items():
            if name not in self.away and not running.alive:
                self.came_back[name] += 1
                running.start(ready=False)
        for person in self.company.people:
            person.keep_listening()

    def person(self, number: str) -> Customer | None:
        """A person who has an account by now; who could not sign up in bad weather tries again."""
        if int(number) >= len(self.company.people):
            return None
        found = self.company.people[int(number)]
        if not found.token:
            self._sign_up(found)
        return found if found.token else None

    def media(self, number: str) -> Promise | None:
        """What became of the upload with this number; None when it was not accepted, or has been deleted."""
        uploads = self.company.uploads
        found = uploads[int(number)] if int(number) < len(uploads) else None
        return found if found is not None and found.deleted == "no" else None

    # -- people -------------------------------------------------------------------------------------------------------

    def sign_up(self) -> None:
        newcomer = Customer(self.world.wiring.base_url, len(self.company.people))
        self.company.people.append(newcomer)
        self._sign_up(newcomer)

    def _sign_up(self, person: Customer) -> None:
        answer = person.sign_up()
        # 409: an earlier try was carried out though its answer was lost. She takes another address.
        if _expect(answer, 201, 409) is not None and answer is not None and answer.status_code == 409:
            person.email = "again-" + person.email

    def upload(self, number: str, kind: str) -> None:
        person = self.person(number)
        if person is None:
            self.company.uploads.append(None)
            return
        path = self.files[kind]
        filename = f"u{len(self.company.uploads)}-{kind}{path.suffix}"
        began = now()
        answer = _expect(person.ask("POST", "/media", files={"file": (filename, path.read_bytes())}), 202)
        if answer is None:
            self.company.unsure[filename] = (person, began)
            self.company.uploads.append(None)
            return
        told = answer.json()["data"]
        self.company.uploads.append(Promise(told["id"], person, filename, began))

    def upload_bad(self, number: str, kind: str) -> None:
        person = self.person(number)
        if person is not None:
            name, content = BAD[kind]
            _expect(person.ask("POST", "/media", files={"file": (name, content)}), 400, 415, 422)

    def rerun(self, number: str) -> None:
        if promise := self.media(number):
            answer = _expect(promise.person.ask("POST", f"/media/{promise.media_id}/analyze"), 202, 409)
            promise.perhaps += answer is None
            promise.runs += answer is not None and answer.status_code == 202

    def cancel(self, number: str) -> None:
        if promise := self.media(number):
            promise.asked.append(now())
            answer = _expect(promise.person.ask("POST", f"/media/{promise.media_id}/cancel"), 202, 409)
            promise.cancels += answer is not None and answer.status_code == 202

    def cancel_by_kubectl(self, number: str) -> None:
        if promise := self.media(number):
            promise.asked.append(now())
            words = ("delete", "ma", "-l", f"drishtiksha.io/media={promise.media_id}", "--wait=false")
            with contextlib.suppress(KubectlFailed, subprocess.TimeoutExpired):
                self.world.kubectl(*words, "--request-timeout=5s")

    def delete(self, number: str) -> None:
        if promise := self.media(number):
            answer = _expect(promise.person.ask("DELETE", f"/media/{promise.media_id}"), 200)
            promise.deleted = "perhaps" if answer is None else "yes"

    def listen(self, number: str) -> None:
        person = self.person(number)
        if person is None:
            return
        silent = [n for n in range(len(person.ears)) if n not in person.listening]
        if not silent and len(person.ears) < 3:
            silent = [len(person.ears)]
            person.ears.append(Ear(person.base_url, person.token))
        person.listening.update(silent[:1])

    def hang_up(self, number: str) -> None:
        person = self.person(number)
        if person is not None and person.listening:
            ear = min(person.listening)
            person.listening.discard(ear)
            person.ears[ear].hang_up()

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

    @property
    def _ground(self) -> Ground:
        assert self.ground is not None, "this rule wants a ground of its own"
        return self.ground


def _expect(answer: httpx.Response | None, *statuses: int) -> httpx.Response | None:
    """The answer, if it is one of these; None when there was none, or somebody's neighbour is away."""
    if answer is None or answer.status_code == 503:
        return None
    assert answer.status_code in statuses, f"{answer.request.method} {answer.request.url}: {answer.text[:500]}"
    return answer


def _is_runner(process: psutil.Process, door_url: str) -> bool:
    try:
        words = process.cmdline()
        return "drishtiksha_jobrunner.main" in words and process.environ().get("DRISHTIKSHA_DOOR_URL") == door_url
    except psutil.Error:
        return False
