"""The explorer's rows are the database's: random histories walk through both, and both say the same after each verb."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from protocol_explorer import rows
from protocol_explorer.processes import snapshot_of
from protocol_explorer.state import LATER, NOW, State, alive, with_exam
from protocol_explorer.world import World
from stores import Stores, open_stores, result

from drishtiksha.database.admission import Caps
from drishtiksha.database.runs import Ended, FrozenModel
from drishtiksha.domain.analysis import analysis_id, attempt_id
from drishtiksha.domain.errors import DrishtikshaError, ErrorClass, Fenced, NotActive, NotFound, RunActive

pytestmark = pytest.mark.long

CAPS = Caps(total=2, per_user=2, per_model=2, of_model={})
BUDGET = 2
ENDS = ("ML_UNAVAILABLE", "CRASHED", "INTERNAL", "DEADLINE", None)


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[Stores]:
    opened = open_stores(database_url)
    yield opened
    await opened.database.close()


class Both:
    """One history in the model and on PostgreSQL: two media of one user."""

    def __init__(self, stores: Stores, chance: random.Random) -> None:
        self.stores, self.chance = stores, chance
        self.state: State = World("rows", media=2, budget=BUDGET).first()
        self.media: list[uuid.UUID] = []
        self.runs: list[uuid.UUID] = []
        self.told: list[str] = []

    async def begin(self) -> None:
        self.user = await self.stores.user()
        for _ in range(2):
            new = await self.stores.upload(self.user)
            self.media.append(new.id)
            self.runs.append(new.run_id)

    def attempts(self) -> list[tuple[int, str, int]]:
        return [
            (r, e.model, n)
            for r, run in enumerate(self.state.runs)
            for e in run.exams
            for n in range(1, len(e.tries) + 1)
        ]

    async def step(self) -> None:
        """One verb on both sides, then the rows of both."""
        name = self.chance.choice(VERBS)
        args = self._arguments(name)
        if args is None:
            return
        said = [await self._model(name, args), await self._real(name, args)]
        self.told.append(f"{name}{args}")
        assert said[0] == said[1], (name, args, said, self.told)
        self._time_passes()
        for r in range(len(self.state.runs)):
            assert self._seen_in_model(r) == await self._seen_in_postgres(r), (r, self.told)

    def _arguments(self, name: str) -> tuple[Any, ...] | None:
        r = self.chance.randrange(len(self.state.runs))
        if name in ("request_cancel", "remove", "rerun"):
            return (self.chance.randrange(2),)
        if name in ("freeze", "start_attempts", "carry_out_cancel", "conclude", "again"):
            return (r,)
        if name == "fail_analysis":
            exams = self.state.runs[r].exams
            return (r, self.chance.choice(exams).model) if exams else None
        attempts = self.attempts()
        if not attempts:
            return None
        more = {"attempt_ended": (self.chance.choice(ENDS), self.chance.random() < 0.7),
                "failed": (self.chance.choice(("ML_UNAVAILABLE", "BAD_MEDIA")),)}  # fmt: skip
        return (*self.chance.choice(attempts), *more.get(name, ()))

    async def _model(self, name: str, args: tuple[Any, ...]) -> Any:
        s = self.state
        try:
            if name == "freeze":
                self.state, said, _ = rows.freeze(s, *args, (("A", BUDGET), ("B", BUDGET)))
            elif name == "start_attempts":
                self.state, said, _ = rows.start_attempts(s, *args, CAPS, BUDGET)
                return sorted(said[0])
            elif name == "conclude":
                self.state, said, _ = rows.conclude(s, *args, None)
            elif name == "fail_analysis":
                self.state, said, _ = rows.fail_analysis(s, args, "UNSCHEDULABLE")
            elif name == "attempt_ended":
                r, model, number, error, ended = args
                self.state, said, _ = rows.attempt_ended(s, (r, model, number), error, "Seen", ended)
            elif name == "note_jobs":
                self.state, said, _ = rows.note_jobs(s, ((args, f"uid-{args[2]}"),))
            else:
                self.state, said, _ = getattr(rows, name)(s, *args)
        except (Fenced, NotFound) as refused:
            return type(refused).__name__
        return said

    async def _real(self, name: str, args: tuple[Any, ...]) -> Any:
        try:
            return await self._verb(name, args)
        except (NotActive, RunActive):
            return False
        except NotFound as refused:
            return False if name in ("request_cancel", "remove", "rerun") else type(refused).__name__
        except DrishtikshaError as refused:
            return type(refused).__name__

    async def _verb(self, name: str, args: tuple[Any, ...]) -> Any:
        stores = self.stores
        if name in ("request_cancel", "remove", "rerun"):
            await getattr(stores.media, name)(self.user, self.media[args[0]])
            if name == "rerun":
                self.runs.append((await stores.media.get(self.user, self.media[args[0]])).media.latest_run_id)
            return True
        run = self.runs[args[0]]
        if name == "freeze":
            await stores.runs.freeze(run, [FrozenModel(m, "1", "s", "service", BUDGET) for m in ("A", "B")])
        elif name == "start_attempts":
            return sorted((await stores.admission.start_attempts(run, CAPS, {"A": 60.0, "B": 60.0})).started)
        elif name == "carry_out_cancel":
            await stores.runs.carry_out_cancel(run)
        elif name == "conclude":
            done = await stores.runs.conclude(run)
            return None if done is None else (done.status.value, done.reason.value if done.reason else None)
        elif name == "again":
            await stores.outbox.again(run)
        elif name == "fail_analysis":
            await stores.runs.fail_analysis(analysis_id(run, args[1]), ErrorClass.UNSCHEDULABLE, "too old")
        else:
            return await self._of_attempt(name, attempt_id(analysis_id(run, args[1]), args[2]), args)
        return None

    async def _of_attempt(self, name: str, attempt: uuid.UUID, args: tuple[Any, ...]) -> Any:
        stores = self.stores
        if name == "begin":
            await stores.results.begin(attempt)
        elif name == "store":
            return (await stores.results.store(attempt, result(args[1]))).accepted
        elif name == "failed":
            await stores.results.failed(attempt, ErrorClass(args[3]), "told", None)
        elif name == "note_jobs":
            await stores.runs.note_jobs({attempt: ("job", f"uid-{args[2]}")})
        else:
            error = None if args[3] is None else ErrorClass(args[3])
            await stores.runs.attempt_ended(attempt, Ended(error, "Seen", "seen", job_ended=args[4], retry_in=0.0))
        return None

    def _time_passes(self) -> None:
        """Retries are due at once on both sides."""
        for r, run in enumerate(self.state.runs):
            for index, exam in enumerate(run.exams):
                if exam.retry == LATER:
                    self.state = with_exam(self.state, r, index, exam._replace(retry=NOW))

    def _seen_in_model(self, r: int) -> Any:
        run = self.state.runs[r]
        if not alive(self.state, r):
            return None
        return _seen(snapshot_of(r, run, self.state.media[run.media].deleted, BUDGET))

    async def _seen_in_postgres(self, r: int) -> Any:
        found = await self.stores.runs.snapshot(self.runs[r])
        return None if found is None else _seen(found)


def _seen(run: Any) -> Any:
    """What the operator decides by, without times and sentences."""
    return (
        (run.number, run.status, run.reason, run.frozen, run.deleted, run.cancel_requested, run.create_pending),
        [
            (a.model, a.status, a.attempt, a.retry_at is None, a.pending_reason, a.error_class, a.prediction)
            for a in run.analyses
        ],
        [
            (a.model, t.number, t.state, t.job_uid, t.error_class, t.reason, t.job_ended_at is None)
            for a in run.analyses
            for t in a.attempts
        ],
    )


VERBS = (
    *("freeze", "start_attempts", "begin", "begin", "store", "store", "failed", "attempt_ended", "attempt_ended"),
    *("fail_analysis", "carry_out_cancel", "conclude", "conclude", "note_jobs", "again", "request_cancel", "rerun"),
    *("start_attempts", "start_attempts", "attempt_ended", "begin", "remove"),
)


async def walk(stores: Stores, seed: str, verbs: int) -> None:
    """One history; then its media are erased, so that the next one finds all places free."""
    both = Both(stores, random.Random(seed))
    await both.begin()
    for _ in range(verbs):
        await both.step()
        if len(both.state.runs) > 5:
            break
    for m, media in enumerate(both.media):
        if not both.state.media[m].deleted:
            await stores.media.remove(both.user, media)
        await stores.media.erased(media)


@pytest.mark.parametrize("seed", range(3))
async def test_random_histories_leave_the_same_rows_in_the_model_and_on_postgresql(stores: Stores, seed: int) -> None:
    for history in range(3):
        await walk(stores, f"{seed}/{history}", 40)


async def test_a_model_that_is_not_the_databases_is_seen(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_fence", lambda s, _r, _models: s)
    with pytest.raises(AssertionError, match="FENCED"):
        for history in range(20):
            await walk(stores, f"wrong/{history}", 60)
