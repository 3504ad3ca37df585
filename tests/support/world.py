"""One whole platform in a namespace of a test cluster: database, api, door, operator, ML service; and ways to ask it.

Every process is real and can be killed and started again. `same_answer` asks SQL, REST, the resource and the events
the same question.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import socketio
from witness import ask, assert_clean

from drishtiksha.audit.audit import Report
from drishtiksha_devcluster import apps
from drishtiksha_devcluster.ephemeral import ThrowawayCluster
from drishtiksha_devcluster.ports import free_port
from drishtiksha_devcluster.process import ProcessSpec, popen
from drishtiksha_devcluster.ready import is_ready

TERMINAL = {"ANALYZED", "PARTIALLY_ANALYZED", "FAILED"}
SUPPORT = Path(__file__).parent


def wait_for(what: str, look: Callable[[], Any], seconds: float = 90.0) -> Any:
    """The first truthy answer of `look`; AssertionError naming `what` when the time is over."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}; last seen: {found!r}"
        time.sleep(0.2)


class Running:
    """A process by its spec: started, killed, started again; its output in one log file."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec, self.log = spec, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, ready: bool = True, seconds: float = 60.0) -> None:
        with self.log.open("ab") as sink:
            self._process = popen(self.spec, stdout=sink, stderr=subprocess.STDOUT)
        if ready and self.spec.ready:
            try:
                wait_for(f"{self.spec.name} to be ready", self._is_ready, seconds)
            except AssertionError as late:
                raise AssertionError(f"{late}\n{self.last_words()}") from None

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def last_words(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.spec.name} ended with {self._process.returncode}"
        return asyncio.run(is_ready(self.spec.ready or ""))

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        try:
            self._process.wait(self.spec.grace + 5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(5)
        self._process = None


@dataclass
class Listener:
    """A real Socket.IO client of one user: what it was told, in order."""

    client: socketio.Client
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def durable(self) -> list[dict[str, Any]]:
        return [p for name, p in self.told if name == "progress_update" and p.get("seq") is not None]

    def of(self, media_id: str) -> list[dict[str, Any]]:
        return [p for p in self.durable() if p["mediaId"] == media_id]

    def close(self) -> None:
        self.client.disconnect()


class Person:
    """A signed-up user with a token: REST calls that expect success, and a listener."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.email = f"person-{uuid.uuid4().hex[:10]}@example.org"
        self.http = httpx.Client(base_url=base_url + "/api/v1", timeout=30)
        new = {"email": self.email, "password": "correct horse", "firstName": "P", "lastName": "Q"}
        self.token: str = self._data(self.http.post("/auth/signup", json=new), 201)["token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        self.id: str = self._data(self.http.get("/auth/profile"))["id"]

    def upload(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            return self._data(self.http.post("/media", files={"file": (path.name, file)}), 202)

    def media(self, media_id: str) -> dict[str, Any]:
        return self._data(self.http.get(f"/media/{media_id}"))

    def wait(self, media_id: str, seconds: float = 120.0, *, run: int | None = None) -> dict[str, Any]:
        """The full object once its latest run (the `run`-th, if given) is final."""

        def look() -> dict[str, Any] | None:
            with contextlib.suppress(httpx.TransportError, AssertionError):
                seen = self.media(media_id)
                final = seen["status"] in TERMINAL
                return seen if final and (run is None or seen["analysisRuns"][0]["runNumber"] == run) else None
            return None

        return wait_for(f"the end of {media_id}", look, seconds)

    def listen(self, last_seq: int | None = None) -> Listener:
        client = socketio.Client(reconnection=True, reconnection_delay=0.2, reconnection_delay_max=1)
        listener = Listener(client)
        client.on("*", lambda name, payload: listener.told.append((name, payload)))
        auth = {"token": self.token} | ({} if last_seq is None else {"lastSeq": last_seq})
        client.connect(self.base_url, auth=auth, wait_timeout=10)
        return listener

    def close(self) -> None:
        self.http.close()

    @staticmethod
    def _data(answer: httpx.Response, status: int = 200) -> Any:
        assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
        body = answer.json()
        assert body["success"] is True
        return body["data"]


class World:
    """A namespace with its own database, api, door, operator and ML service on a shared cluster.

    `template`: settings that every process is given, as a ConfigMap gives them, beneath those that this world wires.
    """

    def __init__(
        self,
        cluster: ThrowawayCluster,
        folder: Path,
        *,
        namespace: str,
        database_url: str,
        redis_url: str,
        config: str = "services:\n  - name: default\n",
        settings: dict[str, str] | None = None,
        script: dict[str, Any] | None = None,
        models: str | None = None,
        bundles: Path | None = None,
        template: Mapping[str, str] | None = None,
    ) -> None:
        self.cluster, self.folder, self.namespace, self.database_url = cluster, folder, namespace, database_url
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(config)
        self.script_file = folder / "script.json"
        own = {
            "JWT_SECRET": "s" * 48,
            "DRISHTIKSHA_SIGNING_KEYS": "k1:" + "k" * 48,
            "SERVER_API_KEY": "m" * 32,
            "DRISHTIKSHA_CONFIG": str(folder / "config.yaml"),
            "LOCAL_STORAGE_PATH": str(folder / "objects"),
            "DRISHTIKSHA_SWEEP": "5s",
            "DRISHTIKSHA_SECOND_LOOK": "2s",
            **(settings or {}),
        }
        own = {**(template or {}), **own}
        ports = {name: free_port() for name in apps.PORTS}
        self.wiring = apps.Wiring(
            home=cluster.home,
            settings=own,
            ports=ports,
            database_url=database_url,
            redis_url=redis_url,
            server_url=f"http://127.0.0.1:{ports['modelserver']}",
            namespace=namespace,
        )
        specs = [apps.api(self.wiring), apps.door(self.wiring), apps.operator(self.wiring)]
        if script is None:
            served = ProcessSpec(**{**vars(apps.modelserver(self.wiring))})
            asked = {"ACTIVE_MODELS": models} if models is not None else {}
            asked |= {"BUNDLES": str(bundles)} if bundles is not None else {}
            served = ProcessSpec(**{**vars(served), "env": {**served.env, **asked}})
            specs.append(served)
        else:
            self.script(script)
            port = ports["modelserver"]
            command = (sys.executable, str(SUPPORT / "scripted_ml.py"), str(port), str(self.script_file))
            specs.append(ProcessSpec("modelserver", command, {}, ready=f"http://127.0.0.1:{port}/stats"))
        specs = [dataclasses.replace(s, env={**(template or {}), **s.env}) for s in specs]
        self.processes = {s.name: Running(s, folder / f"{s.name}.log") for s in specs}

    def script(self, models: dict[str, Any]) -> None:
        """What the scripted ML service does from now on."""
        unfinished = self.script_file.with_suffix(".new")
        unfinished.write_text(json.dumps({"models": models}))
        unfinished.replace(self.script_file)

    def __getitem__(self, name: str) -> Running:
        return self.processes[name]

    def start(self, *without: str) -> None:
        for name in ("modelserver", "door", "api", "operator"):
            if name not in without:
                self.processes[name].start()

    def stop(self) -> None:
        for running in reversed(self.processes.values()):
            running.kill()

    def person(self) -> Person:
        return Person(self.wiring.base_url)

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *words)

    def resource(self, run_id: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", "ma", f"ma-{run_id}", "-o", "json"))

    def jobs(self, run_id: str) -> list[dict[str, Any]]:
        found = self.kubectl("get", "jobs", "-l", f"drishtiksha.io/run={run_id}", "-o", "json")
        return json.loads(found)["items"]

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def verify(self, *, patience: float = 60.0, deep: bool = True) -> Report:
        """Ask the witness until it is clean; AssertionError with its sentences when it is not in time."""
        return assert_clean(
            ask(
                self.database_url,
                kubeconfig=self.cluster.kubeconfig(),
                namespace=self.namespace,
                objects=self.folder / "objects",
                patience=patience,
                deep=deep,
            )
        )

    def same_answer(self, person: Person, media_id: str, *, resource: bool = True) -> dict[str, Any]:
        """Ask SQL, REST, the resource and the events how the latest run ended; AssertionError unless all agree.

        Returns the full object. Also: events without gaps from 1, one terminal row per model, no attempt left open.
        `resource` False: it has gone since the run ended, and is not asked.
        """
        rest = person.media(media_id)
        run_id = rest["latestRunId"]
        run = rest["analysisRuns"][0]
        ((run_status, reason, verdict),) = self.sql(
            "SELECT status, reason, verdict FROM analysis_runs WHERE id = %s", run_id
        )
        ((media_status,),) = self.sql("SELECT status FROM media WHERE id = %s", media_id)
        assert media_status == run_status == rest["status"] == run["status"]
        assert run_status in TERMINAL
        assert run["reason"] == reason
        assert (rest["verdict"] or {}).get("label") == verdict
        rows = self.sql("SELECT model, status, prediction FROM analyses WHERE run_id = %s ORDER BY model", run_id)
        assert rows == [(a["model"], a["status"], a["prediction"]) for a in rest["analyses"]]
        assert all(status in ("COMPLETED", "FAILED") for _, status, _ in rows)

        if resource:
            self._resource_says(run_id, run_status, verdict, {m: s for m, s, _ in rows})
        events = self.sql("SELECT seq, type, payload FROM events WHERE user_id = %s ORDER BY seq", person.id)
        assert [e[0] for e in events] == list(range(1, len(events) + 1))
        ends = self.sql("SELECT payload FROM events WHERE run_id = %s AND type = 'RUN_COMPLETED' ORDER BY seq", run_id)
        assert len(ends) == 1
        assert ends[0][0]["data"]["status"] == run_status
        return rest

    def _resource_says(self, run_id: str, run_status: str, verdict: str | None, models: dict[str, str]) -> None:
        def told() -> dict[str, Any] | None:
            status = self.resource(run_id).get("status", {})
            return status if status.get("phase") == run_status else None

        seen = wait_for(f"the resource to say {run_status}", told, 30)
        complete = next(c for c in seen["conditions"] if c["type"] == "Complete")
        assert complete["status"] == "True"
        assert (seen.get("verdict") or None) == verdict
        assert {m["name"]: m["phase"] for m in seen.get("models", [])} == models
        assert not self.resource(run_id)["metadata"].get("finalizers"), "only live runs carry the finalizer"
