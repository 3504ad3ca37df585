"""The benchmark, told once: what a runner costs alone; then, for each set of controller-manager flags, a platform that
is idle, that gets one upload at a time, and that gets many at once beside the same number of bare Jobs.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import redis
from PIL import Image

from drishtiksha.bus import RUNS
from drishtiksha.kubeconfig import from_file
from drishtiksha_devcluster.node.client import KubeClient

from . import audit, bare, first_request, live, meters, targets
from .cluster import settled
from .stage import BARE_NAMESPACE, NAMESPACE, PLATFORM, Stage, stage
from .stub import MODELS
from .through import Through, leave, sign_up

PATIENCE = 900.0
"""Seconds for one round; a busy machine is slow, and a broken platform is found out all the same."""


@dataclass(frozen=True)
class Plan:
    """What to do. `idle` in seconds; `flags`: raised (300/400) and stock (20/30)."""

    runs: int
    users: int
    uploads: int
    idle: float
    flags: Sequence[str]
    keep: Path | None = None


def tell(plan: Plan) -> dict[str, Any]:
    """Do all of it; the returned value is what the JSON file holds. Raises Unfinished, ClusterFailed."""
    found: dict[str, Any] = {
        "taken": datetime.now(UTC).strftime("%Y-%m-%d"),
        "plan": {"runs": plan.runs, "models": len(MODELS), "users": plan.users, "uploads": plan.uploads},
        "machine": _machine(),
    }
    _say("what a runner costs before its first request")
    found["runner"] = first_request.measure()
    found["rounds"] = {}
    with tempfile.TemporaryDirectory(prefix="drishtiksha-bench-") as temporary:
        picture = Path(temporary) / "picture.png"
        Image.linear_gradient("L").resize((96, 96)).convert("RGB").save(picture)
        for number, flags in enumerate(plan.flags):
            folder = Path(temporary) / flags
            _say(f"bringing a platform up, controller-manager flags: {flags}")
            try:
                with stage(folder, picture, stock_qps=flags == "stock") as ground:
                    asyncio.run(_measure(plan, ground, picture.read_bytes(), flags, found, alone=number == 0))
            finally:
                if plan.keep is not None:
                    shutil.copytree(folder, plan.keep / flags, dirs_exist_ok=True, ignore=_only_logs)
    found["load_after"] = round(os.getloadavg()[0], 1)
    return found


async def _measure(
    plan: Plan, ground: Stage, picture: bytes, flags: str, found: dict[str, Any], *, alone: bool
) -> None:
    client = KubeClient(from_file(ground.cluster.kubeconfig()))
    people = await sign_up(ground.wiring.base_url, plan.users)
    try:
        through = Through(client, NAMESPACE, ground.admin_url, people)
        found["kubernetes"] = (await client.get("/version"))["gitVersion"]

        # One run of each kind first: page cache, connections, the operator's first look at the models.
        await through.uploads(1, picture, PATIENCE)
        prepared = bare.prepare(1, BARE_NAMESPACE, ground.stub_url)
        await bare.post_secrets(client, prepared, BARE_NAMESPACE)
        await bare.run(client, prepared, BARE_NAMESPACE, PATIENCE)
        await settled(client, NAMESPACE)

        # Alone: one upload after the other, then another look at runs that are over, then nothing at all.
        if alone:
            found["memory_idle"] = {name: meters.resident(ground.processes[name]) for name in PLATFORM}
            await _alone(plan, ground, client, through, picture, found)

        # Side by side: bare, uploads, runs of media that are there, bare again.
        found["rounds"][flags] = {}
        rounds = found["rounds"][flags]
        for name in ("bare-1", "uploads", "reruns", "bare-2"):
            _say(f"{flags}: {plan.runs} runs of {len(MODELS)} models, {name}")
            await asyncio.sleep(3)
            prepared = bare.prepare(plan.runs, BARE_NAMESPACE, ground.stub_url)
            if name.startswith("bare"):
                await bare.post_secrets(client, prepared, BARE_NAMESPACE)
            window = Window(ground)
            if name == "uploads":
                times = await through.uploads(plan.runs, picture, PATIENCE)
            elif name == "reruns":
                times = await through.reruns(plan.runs, PATIENCE)
            else:
                times = await bare.run(client, prepared, BARE_NAMESPACE, PATIENCE)
            seen = window.close()
            if not name.startswith("bare"):
                await settled(client, NAMESPACE)
                seen["counts"] = window.close()
            times.pop("began")
            rounds[name] = {"seconds": {k: round(v, 2) for k, v in times.items()}, **seen}
            _say(f"  {rounds[name]['seconds']}, other processes used {seen['other_cpu']} CPU seconds")
        if plan.keep is not None:
            _keep_statements(ground, plan.keep / f"statements-{flags}.json")
        found.setdefault("memory_peak", {})[flags] = {
            name: meters.peak(process) for name, process in ground.processes.items() if name != "postgres"
        }
    finally:
        await leave(people)
        await client.close()


async def _alone(
    plan: Plan, ground: Stage, client: KubeClient, through: Through, picture: bytes, found: dict[str, Any]
) -> None:
    person = through.people[0]
    _say(f"{plan.uploads} uploads, one after the other")
    window = Window(ground)
    found["live"] = await live.measure(ground.wiring.base_url, person, picture, plan.uploads)
    await settled(client, NAMESPACE)
    found["single"] = {"runs": plan.uploads, **window.close()}
    _say(f"  {found['live']}")

    _say("another look at runs that are over")
    await asyncio.sleep(3)
    runs = await _all_runs(client)
    window = Window(ground)
    with redis.Redis.from_url(ground.wiring.redis_url) as channel:
        for run in runs:
            channel.publish(RUNS, json.dumps({"runId": run}))
    await asyncio.sleep(8)
    found["second_look"] = {"runs": len(runs), **window.close()}

    _say(f"nothing, for {plan.idle:.0f} s")
    window = Window(ground)
    await asyncio.sleep(plan.idle)
    found["idle"] = window.close()


class Window:
    """A stretch of time: what was asked, stated and used since it was opened."""

    def __init__(self, ground: Stage) -> None:
        self._ground = ground
        self._offset = ground.audit_log.stat().st_size
        self._reading = meters.take(ground.processes, ground.admin_url)
        self._busy = _busy()
        self._load = os.getloadavg()[0]
        self._began = time.time()

    def close(self) -> dict[str, Any]:
        """The differences until now. May be called again later for a longer stretch."""
        ended = time.time()
        used = meters.difference(self._reading, meters.take(self._ground.processes, self._ground.admin_url))
        ours = targets.cpu({"processes": used})
        with self._ground.audit_log.open(encoding="utf-8") as log:
            log.seek(self._offset)
            requests = audit.between(audit.read(log), self._began, ended)
        return {
            "length": round(ended - self._began, 1),
            "load": [round(self._load, 1), round(os.getloadavg()[0], 1)],
            "other_cpu": round(max(0.0, _busy() - self._busy - ours), 1),
            "processes": used,
            "requests": audit.counted(requests),
            "most_patches_of_one_run": _most_patches(requests),
        }


def _most_patches(requests: Sequence[audit.Request]) -> int:
    per: dict[str, int] = {}
    for r in requests:
        if r.user == "drishtiksha-operator" and r.verb == "patch":
            per[r.name] = per.get(r.name, 0) + 1
    return max(per.values(), default=0)


async def _all_runs(client: KubeClient) -> list[str]:
    path = f"/apis/drishtiksha.io/v1alpha1/namespaces/{NAMESPACE}/mediaanalyses"
    return [item["spec"]["runId"] for item in (await client.get(path))["items"]]


def _busy() -> float:
    """CPU seconds that this machine has worked since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def _keep_statements(ground: Stage, path: Path) -> None:
    """Which statements, how often: for whoever looks for what is wasteful."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = sorted(meters.statements(ground.admin_url), key=lambda row: -row[2])
    named = [{"process": role.removeprefix("bench_"), "calls": n, "query": query} for role, query, n, _ in rows]
    path.write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")


def _only_logs(folder: str, names: list[str]) -> set[str]:
    return {n for n in names if not (n.endswith((".log", ".yaml")) or (Path(folder) / n).name in ("logs", "cluster"))}


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)
