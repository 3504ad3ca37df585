"""Takes the steps of a plan: one method per rule. What is answered becomes a promise; `troubles` does the breaking.

A neighbour that is away is no failure here (503, or no answer); any other answer than those of the contract is.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from world import World

from drishtiksha_devcluster.ephemeral import KubectlFailed

from .company import Customer, Ear, Promise, now
from .ground import Ground
from .plan import BURST, PAUSED, Step
from .troubles import SECOND, Troubles

BAD = {
    "text": ("notes.mp4", b"these are words and no video\n" * 20),
    "empty": ("empty.png", b""),
    "torn": ("torn.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 200),
    "playlist": ("list.mp4", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"),
}


class Hands(Troubles):
    """One world, and its ground where it has one of its own; a person's rules here, the troubles in `troubles`."""

    def __init__(self, world: World, files: dict[str, Path], ground: Ground | None = None) -> None:
        super().__init__(world, ground)
        self.files = files
        self.steps: Counter[str] = Counter()
        self.came_back: Counter[str] = Counter()
        """Processes that ended by themselves and were started again, as a supervisor does."""
        self.models("well")

    # -- the course of things -----------------------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        """One step, and what a supervisor and clients do all the time."""
        getattr(self, step.rule)(*step.words)
        self.steps[step.rule] += 1
        self.keep_alive()

    def heal(self) -> None:
        """No trouble any more: every process runs, every node obeys, every model answers, everybody listens."""
        self.models("whole")
        if self.ground is not None:
            for name in PAUSED:
                self.resume(name)
            self.node_calm()
            self.start_valkey()
        for name in self.away - {SECOND}:
            self.start(name)
        for person in self.company.people:
            person.listening = set(range(len(person.ears)))
        for kind in {spell.kind for spell in self.weather.spells if spell.kind != "two operators"}:
            self.weather.end(kind)

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
        self.company.uploads.append(self._upload(person, kind, len(self.company.uploads)))

    def burst(self, number: str, kind: str) -> None:
        """Several uploads of one person at the same time."""
        person = self.person(number)
        if person is None:
            self.company.uploads += [None] * BURST
            return
        first = len(self.company.uploads)
        with ThreadPoolExecutor(BURST) as pool:
            sent = [pool.submit(self._upload, person, kind, first + n) for n in range(BURST)]
        self.company.uploads += [one.result() for one in sent]

    def _upload(self, person: Customer, kind: str, number: int) -> Promise | None:
        path = self.files[kind]
        filename = f"u{number}-{kind}{path.suffix}"
        began = now()
        answer = _expect(person.ask("POST", "/media", files={"file": (filename, path.read_bytes())}), 202)
        if answer is None:
            self.company.unsure[filename] = (person, began)
            return None
        return Promise(answer.json()["data"]["id"], person, filename, began)

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


def _expect(answer: httpx.Response | None, *statuses: int) -> httpx.Response | None:
    """The answer, if it is one of these; None when there was none, or somebody's neighbour is away."""
    if answer is None or answer.status_code == 503:
        return None
    assert answer.status_code in statuses, f"{answer.request.method} {answer.request.url}: {answer.text[:500]}"
    return answer
