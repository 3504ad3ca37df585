"""Two of everything at work on the same runs, and what is counted afterwards in the API server and in the rows.

Stands on `twins`: operators and dispatchers run as loops, and every Job's runner has a twin at the other door.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field

from operator_stage import end_pod
from twins import Runner, Twins, refused

from drishtiksha.database.media import NewMedia
from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.kube import Object
from drishtiksha.resources import job_name

CAPS = {"DRISHTIKSHA_MAX_ACTIVE_JOBS": 6, "DRISHTIKSHA_MAX_ACTIVE_PER_USER": 4, "DRISHTIKSHA_MAX_ACTIVE_PER_MODEL": 3}
BUDGET = 3
LATE = 0.01


@dataclass
class Seen:
    """What was counted while the twins worked."""

    surfaced: list[str] = field(default_factory=list)
    """Errors that reached whoever called: a look that failed is made again, but none should."""
    looks: int = 0
    most: Counter[str] = field(default_factory=Counter)
    """The most places that were taken at a time: in all, of one user, of one model."""
    doubles: Counter[str] = field(default_factory=Counter)
    """How often both doors were asked the same at once."""
    wrong: list[str] = field(default_factory=list)


async def play(twins: Twins, runner: Runner, seen: Seen) -> None:
    """One attempt's runner, with a twin of it at the other door."""
    chance = twins.chance
    one, other = chance.sample((0, 1), 2)
    began = await asyncio.gather(runner.begin(one), runner.begin(other))
    if not all(answer.is_success for answer in began):
        seen.wrong.append(f"{runner.job} could not begin")
    plan = chance.choice(("answer", "answer", "answer", "fail", "both", "die"))
    code = 0
    if plan != "die":
        puts = await asyncio.gather(runner.artifact(b"one" * 50, one), runner.artifact(b"two" * 70, other))
        seen.doubles["artifact"] += 1
        if not all(put.is_success for put in puts):
            seen.wrong.append(f"an artifact of {runner.job} was refused")
    if plan == "answer":
        answers = await asyncio.gather(runner.result(one, artifacts=["map.png"]), runner.result(other))
        seen.doubles["result"] += 1
        if sorted(answer.json().get("accepted") for answer in answers) != [False, True]:
            seen.wrong.append(f"two results of {runner.job}: {[a.text for a in answers]}")
        late = await runner.failure(other)
        if not refused(late):
            seen.wrong.append(f"a late failure of {runner.job} was answered {late.status_code}")
    elif plan == "both":
        answers = await asyncio.gather(runner.result(one), runner.failure(other))
        seen.doubles["result and failure"] += 1
        if sorted(answer.status_code for answer in answers) != [200, 409]:
            seen.wrong.append(f"result and failure of {runner.job}: {[a.text for a in answers]}")
        code = 0 if answers[0].is_success else 69
    elif plan == "fail":
        answers = await asyncio.gather(runner.failure(one), runner.failure(other))
        seen.doubles["failure"] += 1
        if [answer.status_code for answer in answers] != [200, 200]:
            seen.wrong.append(f"two failures of {runner.job}: {[a.text for a in answers]}")
        code = 69
    else:
        code = 137
    await end_pod(
        twins.admin, runner.job, code, reason="Completed" if code == 0 else "Error", namespace=twins.namespace
    )


async def operate(twins: Twins, which: int, runs: list[NewMedia], seen: Seen) -> None:
    """One operator looks at all runs in an order of its own, again and again."""
    operator = twins.operators[which]
    while True:
        for new in twins.chance.sample(runs, len(runs)):
            operator.clock[0] += 3.0
            try:
                await operator.story.look(str(new.run_id))
            except DrishtikshaError as error:
                seen.surfaced.append(f"operator {which}: {error}")
            seen.looks += 1
            await count_places(twins, seen)
        await asyncio.sleep(0.01)


async def count_places(twins: Twins, seen: Seen) -> None:
    taken = await twins.sql(
        "SELECT m.user_id, a.model FROM attempts t JOIN analyses a ON a.id = t.analysis_id "
        "JOIN media m ON m.id = a.media_id WHERE t.job_ended_at IS NULL"
    )
    seen.most["in all"] = max(seen.most["in all"], len(taken))
    for place, name in enumerate(("of one user", "of one model")):
        largest = max(Counter(row[place] for row in taken).values(), default=0)
        seen.most[name] = max(seen.most[name], largest)


async def dispatch(twins: Twins, which: int, seen: Seen) -> None:
    while True:
        try:
            await twins.dispatchers[which].once()
        except DrishtikshaError as error:
            seen.surfaced.append(f"dispatcher {which}: {error}")
        await asyncio.sleep(0.02)


async def run_pods(twins: Twins, seen: Seen) -> None:
    """Every Job gets its runner, once."""
    known: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            for job in await twins.jobs():
                if job["metadata"]["uid"] not in known:
                    known.add(job["metadata"]["uid"])
                    run_id = job["metadata"]["labels"]["drishtiksha.io/run"]
                    (runner,) = [r for r in await twins.runners(run_id) if r.job == job["metadata"]["name"]]
                    group.create_task(play(twins, runner, seen))
            await asyncio.sleep(0.1)


async def work(twins: Twins, number: int) -> tuple[list[NewMedia], Seen]:
    """`number` runs of three users from their upload to their end, by all twins at once."""
    seen, runs = Seen(), []
    people = [await twins.person() for _ in range(3)]
    tasks = [asyncio.create_task(operate(twins, which, runs, seen)) for which in (0, 1)]
    tasks += [asyncio.create_task(dispatch(twins, which, seen)) for which in range(4)]
    tasks.append(asyncio.create_task(run_pods(twins, seen)))
    open_ones = (
        "SELECT (SELECT count(*) FROM analysis_runs WHERE finished_at IS NULL) + "
        "(SELECT count(*) FROM attempts WHERE job_ended_at IS NULL)"
    )

    async def until_all_has_ended() -> None:
        for place in range(number):
            runs.append(await twins.upload(people[place % 3]))
            await asyncio.sleep(twins.chance.random() * 0.1)
        while (await twins.sql(open_ones))[0][0]:
            await asyncio.sleep(0.1)

    tasks.append(asyncio.create_task(until_all_has_ended()))
    try:
        async with asyncio.timeout(60 + 12 * number):
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
    return runs, seen


async def counted(twins: Twins, runs: list[NewMedia], seen: Seen) -> list[str]:
    """Everything that is not as one of each would have left it, in sentences."""
    wrong = [*seen.surfaced, *seen.wrong]
    base = f"/apis/drishtiksha.io/v1alpha1/namespaces/{twins.namespace}/mediaanalyses"
    resources = {r["spec"]["runId"]: r for r in await twins.admin.list(base)}
    if sorted(resources) != sorted(str(new.run_id) for new in runs):
        wrong.append(f"{len(resources)} resources of {len(runs)} runs")
    jobs = await twins.jobs()
    secrets = await twins.admin.list(f"/api/v1/namespaces/{twins.namespace}/secrets", labels="drishtiksha.io/run")
    for new in runs:
        owner = resources[str(new.run_id)]["metadata"]["uid"]
        wrong += await _of_run(twins, new, owner, _of(jobs, new), _of(secrets, new))
    for name, most in (("in all", 6), ("of one user", 4), ("of one model", 3)):
        if seen.most[name] > most:
            wrong.append(f"{seen.most[name]} places were taken {name}, there are {most}")
    ended = await twins.sql("SELECT count(*) FROM analyses WHERE status = 'COMPLETED'")
    accepted = await twins.sql("SELECT count(*) FROM attempts WHERE state = 'SUCCEEDED'")
    if ended != accepted:
        wrong.append(f"{ended} analyses have a result, {accepted} attempts handed one in")
    kept = {str(p.relative_to(twins.folder)) for p in twins.folder.rglob("*") if p.is_file()}
    named = await twins.sql("SELECT object_key FROM media UNION SELECT key FROM artifacts")
    if kept != {row[0] for row in named}:
        wrong.append(f"bytes without a row, or rows without bytes: {kept ^ {row[0] for row in named}}")
    before = await twins.written()
    for new in runs:
        for runner in await twins.runners(new.run_id):
            for answer in await runner.everything(twins.chance.randrange(2)):
                if not refused(answer):
                    wrong.append(f"{runner.job} could still write: {answer.status_code} {answer.text[:100]}")
    if await twins.written() != before:
        wrong.append("a stale runner has written something")
    twice = await twins.sql("SELECT analysis_id, attempt FROM analysis_errors GROUP BY 1, 2 HAVING count(*) > 1")
    wrong += [f"attempt {number} of {analysis} failed twice" for analysis, number in twice]
    for _ in range(2):  # the last word in the cluster may be due still
        await twins.look(*(new.run_id for new in runs), seconds=60)
    for operator in twins.operators:
        operator.kube.forget()
    await twins.look(*(new.run_id for new in runs), seconds=60)
    wrong += [f"an operator wrote to a settled cluster: {w}" for o in twins.operators for w in o.kube.writes]
    return wrong


async def _of_run(twins: Twins, new: NewMedia, owner: str, jobs: list[Object], secrets: list[Object]) -> list[str]:
    wrong = []
    seen = await twins.stores.runs.snapshot(new.run_id)
    assert seen is not None
    expected = {job_name(new.run_id, a.model, t.number): t.job_uid for a in seen.analyses for t in a.attempts}
    if {job["metadata"]["name"]: job["metadata"]["uid"] for job in jobs} != expected:
        wrong.append(f"run {new.run_id} has {len(jobs)} Jobs for {len(expected)} attempts, or other ones")
    if any(job["metadata"]["ownerReferences"][0]["uid"] != owner for job in jobs):
        wrong.append(f"a Job of run {new.run_id} belongs to another resource")
    if len(secrets) != 1:
        wrong.append(f"run {new.run_id} has {len(secrets)} Secrets")
    if any(len(a.attempts) > BUDGET for a in seen.analyses):
        wrong.append(f"run {new.run_id} spent more than its budget")
    ends = await twins.sql("SELECT 1 FROM events WHERE run_id = :run AND type = 'RUN_COMPLETED'", run=new.run_id)
    if len(ends) != 1 or not seen.terminal:
        wrong.append(f"run {new.run_id} is {seen.status}, and its end was told {len(ends)} times")
    return wrong


def _of(objects: list[Object], new: NewMedia) -> list[Object]:
    return [o for o in objects if o["metadata"]["labels"]["drishtiksha.io/run"] == str(new.run_id)]
