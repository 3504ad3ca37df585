"""Cancel, delete and rerun at a state of a run, alone, in turn and at once; and what must hold after each.

Stands on `twins` and `run_states`. A deletion is silent from its answer on (I10): nothing new about the media appears,
whoever is in the middle of something; then all of it goes. What a cancellation leaves is true (I7) and told once (I9).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from operator_stage import end_pod, model
from run_states import MODELS, STATES
from twins import Person, Runner, Twins, refused

from drishtiksha.database.media import NewMedia
from drishtiksha.database.tables import Base
from drishtiksha.kube import KubeNotFound, Object
from drishtiksha.resources import LABEL_MEDIA, LABEL_RUN, MediaAnalyses
from drishtiksha_api import dispatcher as dispatching


@dataclass
class Cell:
    """One wish at one state, and what was answered."""

    name: str
    person: Person
    new: NewMedia
    concluded: bool
    """Whether the run was final when the wish came."""
    said: list[str] = field(default_factory=list)
    """`verb status`, in the order of the answers."""
    stale: list[Runner] = field(default_factory=list)

    def count(self, *said: str) -> int:
        return sum(self.said.count(one) for one in said)

    @property
    def deleted(self) -> bool:
        return "delete 200" in self.said


async def cancel(twins: Twins, cell: Cell, api: int = 0) -> None:
    answer = await twins.apis[api].post(f"/media/{cell.new.id}/cancel", headers=cell.person.headers)
    cell.said.append(f"cancel {answer.status_code}")


async def delete(twins: Twins, cell: Cell, api: int = 0) -> None:
    answer = await twins.apis[api].delete(f"/media/{cell.new.id}", headers=cell.person.headers)
    cell.said.append(f"delete {answer.status_code}")


async def rerun(twins: Twins, cell: Cell, api: int = 1) -> None:
    answer = await twins.apis[api].post(f"/media/{cell.new.id}/analyze", headers=cell.person.headers)
    cell.said.append(f"rerun {answer.status_code}")


async def kubectl(twins: Twins, cell: Cell) -> None:
    found = await MediaAnalyses(twins.admin, twins.namespace).delete(cell.new.run_id)
    cell.said.append(f"kubectl {200 if found else 404}")


Wish = Callable[[Twins, Cell], Awaitable[None]]


def at_once(*wishes: Callable[..., Awaitable[None]]) -> Wish:
    async def all_of_them(twins: Twins, cell: Cell) -> None:
        same = len(set(wishes)) == 1
        await asyncio.gather(*(w(twins, cell, number) if same else w(twins, cell) for number, w in enumerate(wishes)))

    return all_of_them


def in_turn(*wishes: Wish) -> Wish:
    async def one_by_one(twins: Twins, cell: Cell) -> None:
        for wish in wishes:
            await wish(twins, cell)

    return one_by_one


WISHES: dict[str, Wish] = {
    "cancel": cancel,
    "kubectl": kubectl,
    "delete": delete,
    "cancel, then delete": in_turn(cancel, delete),
    "kubectl, then delete": in_turn(kubectl, delete),
    "cancel by both apis": at_once(cancel, cancel),
    "delete by both apis": at_once(delete, delete),
    "delete and kubectl at once": at_once(delete, kubectl),
    "delete and rerun at once": at_once(delete, rerun),
    "cancel and rerun at once": at_once(cancel, rerun),
}


def answered_rightly(cell: Cell, wish: str) -> list[str]:
    """What the answers should have been, where they were not."""
    allowed: dict[str, set[str]] = {
        "cancel": {"409"} if cell.concluded else {"202"},
        "delete": {"200", "404"},
        "kubectl": {"200", "404"},
        "rerun": {"202"} if cell.concluded else {"409"},
    }
    if "delete and rerun" in wish:
        allowed["rerun"] |= {"404"}
    if "cancel and rerun" in wish:
        allowed["cancel"] |= {"202"}  # it may cancel the new run
    wrong = [said for said in cell.said if said.split()[1] not in allowed[said.split()[0]]]
    if wish == "delete by both apis" and sorted(cell.said) != ["delete 200", "delete 404"]:
        wrong.append(f"answered {cell.said}")
    if "delete" in wish and not cell.deleted:
        wrong.append(f"nothing was deleted: {cell.said}")
    return wrong


# -- what must hold ---------------------------------------------------------------------------------------------------


async def census(twins: Twins, cell: Cell) -> set[str]:
    """Everything about a media, wherever it is: keys of rows, events, wishes, files, objects of the cluster."""
    found: set[str] = set()
    for table in Base.metadata.sorted_tables:
        columns = table.columns.keys()
        if table.name == "events":
            keys = "seq || ' ' || type || ' ' || payload"
        elif table.name == "outbox":
            keys = "kind || ' ' || key"
        else:
            keys = " || ' ' || ".join(f"{c.name}::text" for c in table.primary_key)
        where = {
            "media": "id = :media",
            "outbox": "key = :media OR key IN (SELECT id FROM analysis_runs WHERE media_id = :media)",
        }.get(table.name)
        if where is None and "media_id" in columns:
            where = "media_id = :media"
        elif where is None and "analysis_id" in columns:
            where = "analysis_id IN (SELECT id FROM analyses WHERE media_id = :media)"
        if where is not None:
            rows = await twins.sql(f"SELECT {keys} FROM {table.name} WHERE {where}", media=cell.new.id)
            found |= {f"row {table.name} {row[0]}" for row in rows}
    found |= {f"file {name}" for name in twins.bytes_of(cell.new.id)}
    return found | await in_cluster(twins, cell)


async def in_cluster(twins: Twins, cell: Cell) -> set[str]:
    base = f"/apis/drishtiksha.io/v1alpha1/namespaces/{twins.namespace}/mediaanalyses"
    found = {
        f"resource {r['metadata']['name']}" for r in await twins.admin.list(base, labels=f"{LABEL_MEDIA}={cell.new.id}")
    }
    for path in ("/apis/batch/v1/namespaces/{}/jobs", "/api/v1/namespaces/{}/secrets"):
        objects = await twins.admin.list(path.format(twins.namespace), labels=f"{LABEL_RUN}={cell.new.run_id}")
        found |= {f"{path.rsplit('/', 1)[1]} {o['metadata']['name']}" for o in objects}
    return found


async def silent(twins: Twins, cell: Cell) -> list[str]:
    """What appeared after the deletion was answered although everybody tried."""
    before = await census(twins, cell)
    wrong = [f"an event says more than that it is gone: {one}" for one in before if one.startswith("row events") and "MEDIA_DELETED" not in one]  # fmt: skip
    await twins.look(cell.new.run_id)
    for runner in cell.stale:
        for door in (0, 1):
            wrong += [f"{a.request.url.path} by a stale runner: {a.status_code}" for a in await runner.everything(door) if not refused(a)]  # fmt: skip
    url, headers = f"/media/{cell.new.id}", cell.person.headers
    asked = (
        ("GET", url),
        ("POST", f"{url}/cancel"),
        ("POST", f"{url}/analyze"),
        ("DELETE", url),
        ("GET", f"{url}/runs"),
    )
    for api in twins.apis:
        for method, path in asked:
            answer = await api.request(method, path, headers=headers)
            if answer.status_code != 404:
                wrong.append(f"{method} {path} of a deleted media: {answer.status_code}")
    await twins.dispatch()
    await twins.look(cell.new.run_id)
    after = await census(twins, cell)
    wrong += [f"appeared after the deletion: {one}" for one in after - before]
    wrong += [f"bytes outlive the deletion: {one}" for one in after if one.startswith("file")]
    return wrong


def as_usual(twins: Twins) -> None:
    """The ML service answers, and there are places."""
    for operator in twins.operators:
        operator.away = False
        operator.story.starting.settings = operator.story.settings


async def answer_in(twins: Twins, job: Object, ended: set[str]) -> None:
    """The runner of this Job hands in, if it may, and exits; its pod may not be there yet, or not any more."""
    name = job["metadata"]["name"]
    pods = f"/api/v1/namespaces/{twins.namespace}/pods"
    if name in ended or not await twins.admin.list(pods, labels=f"batch.kubernetes.io/job-name={name}"):
        return
    for runner in await twins.runners(job["metadata"]["labels"][LABEL_RUN]):
        if runner.job == name and (await runner.result(twins.chance.randrange(2))).status_code == 200:
            ended.add(name)
            with contextlib.suppress(KubeNotFound, TimeoutError):  # collected meanwhile
                await end_pod(twins.admin, name, 0, namespace=twins.namespace)


async def settle(twins: Twins, cells: list[Cell]) -> None:
    """Whatever still runs is answered, until nothing is left to do."""
    as_usual(twins)
    open_ones = (
        "SELECT (SELECT count(*) FROM media WHERE deleted_at IS NOT NULL) + "
        "(SELECT count(*) FROM analysis_runs WHERE finished_at IS NULL) + "
        "(SELECT count(*) FROM attempts WHERE job_ended_at IS NULL)"
    )
    ended: set[str] = set()
    async with asyncio.timeout(120):
        while (await twins.sql(open_ones))[0][0]:
            await twins.dispatch()
            await twins.due_now()
            runs = [row[0] for row in await twins.sql("SELECT id FROM analysis_runs")]
            await twins.look(*runs)
            for job in await twins.jobs():
                await answer_in(twins, job, ended)
    runs = [row[0] for row in await twins.sql("SELECT id FROM analysis_runs")]
    for _ in range(2):  # the last word in the cluster may be due still
        await twins.look(*runs, seconds=60)
    for operator in twins.operators:
        operator.kube.forget()
    runs = [row[0] for row in await twins.sql("SELECT id FROM analysis_runs")]
    await twins.look(*runs, *(cell.new.run_id for cell in cells), seconds=60)
    wrote = [write for operator in twins.operators for write in operator.kube.writes]
    assert wrote == [], f"I13: a settled cluster is written to: {wrote}"


async def ended_rightly(twins: Twins, cell: Cell) -> list[str]:
    """What is left of a cell that has settled, and should not be."""
    if cell.deleted:
        left = await census(twins, cell)
        # Numbers of events stay; Secrets and Jobs are the garbage collector's: `collected` and the witness wait for it.
        kept = {one for one in left if one.startswith(("secrets", "jobs", "row events"))}
        return [f"outlives its media: {one}" for one in left - kept]
    wrong = []
    runs = await twins.sql(
        "SELECT id, status, reason, cancel_requested_at IS NOT NULL FROM analysis_runs WHERE media_id = :media ORDER BY number",
        media=cell.new.id,
    )
    for run_id, status, reason, asked in runs:
        rows = await twins.sql("SELECT status, error_class FROM analyses WHERE run_id = :run", run=run_id)
        failed = {row[1] for row in rows if row[0] != "COMPLETED"}
        if failed - {"CANCELLED"} or (failed and not asked):
            wrong.append(f"run {run_id} ended {status} ({reason}) with {rows}")
        if asked and (failed or not rows) and reason != "CANCELLED":
            wrong.append(f"run {run_id} was cancelled and says {reason}")
        told = await twins.sql("SELECT 1 FROM events WHERE run_id = :run AND type = 'RUN_COMPLETED'", run=run_id)
        if len(told) != 1:
            wrong.append(f"the end of run {run_id} was told {len(told)} times")
    if cell.count("kubectl 200") and any(one.startswith("resource") for one in await in_cluster(twins, cell)):
        wrong.append("the resource that was deleted by hand is still there")
    if cell.count("kubectl 200", "cancel 202") and not cell.concluded and not runs[0][3]:
        wrong.append(f"the wish for the end of run {runs[0][0]} was not heeded")
    if len(runs) != 1 + cell.count("rerun 202"):
        wrong.append(f"{len(runs)} runs after {cell.said}")
    return wrong


async def try_all(twins: Twins, at: str, wishes: Sequence[str]) -> tuple[list[str], int]:
    """Every wish at one state, each with a media of its own; then they settle together. What is wrong, how many are right."""
    wrong: dict[str, list[str]] = {}
    cells = []
    person = await twins.person()
    for operator in twins.operators:
        operator.models[:] = [model(name) for name in MODELS]
    for name in wishes:
        cell = Cell(f"{at}: {name}", person, await twins.upload(person), at == "concluded")
        cells.append(cell)
        async with STATES[at](twins, cell.new):
            cell.stale = await twins.runners(cell.new.run_id)
            await WISHES[name](twins, cell)
        wrong[cell.name] = answered_rightly(cell, name)
        if cell.deleted:
            wrong[cell.name] += await silent(twins, cell)
        as_usual(twins)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatching, "TOMBSTONE_SECONDS", 0.0)
        await settle(twins, cells)
    for cell in cells:
        wrong[cell.name] += await ended_rightly(twins, cell)
    sentences = [f"{name}: {one}" for name, found in wrong.items() for one in found]
    return sentences, sum(not found for found in wrong.values())


async def collected(twins: Twins) -> list[str]:
    """What the cluster's garbage collector has left of resources that are gone, once it had its time."""
    base = f"/apis/drishtiksha.io/v1alpha1/namespaces/{twins.namespace}/mediaanalyses"
    async with asyncio.timeout(120):
        while True:
            owners = {r["metadata"]["uid"] for r in await twins.admin.list(base)}
            secrets = await twins.admin.list(f"/api/v1/namespaces/{twins.namespace}/secrets", labels=LABEL_RUN)
            owned = [*await twins.jobs(), *secrets]
            left = [o["metadata"]["name"] for o in owned if o["metadata"]["ownerReferences"][0]["uid"] not in owners]
            if not left:
                return left
            await asyncio.sleep(0.5)
