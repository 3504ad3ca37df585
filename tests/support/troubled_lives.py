"""Lives of media through the real stores, over a connection that loses answers to COMMIT; and what must be true after each verb.

A `Life` knows what it has asked for, so it can say to the row and to the event what there must be. What is there is
asked over a connection of its own, which nothing troubles.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
from fault_wires import Fault, Statements
from stores import CAPS, PROBE, Stores, result

from drishtiksha.database.media import NewMedia
from drishtiksha.database.outbox import Wish
from drishtiksha.database.results import NewArtifact
from drishtiksha.database.runs import Ended, FrozenModel
from drishtiksha.database.session import new_id
from drishtiksha.domain.analysis import analysis_id, attempt_id
from drishtiksha.domain.errors import EmailTaken, ErrorClass, NotFound, RunActive, Unavailable

T = TypeVar("T")

BUDGET = 3
MODELS = ("A", "B")
_WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")


class Trouble:
    """Strikes the statements of one connection pool, by a seed, while a verb is at work."""

    def __init__(self, seed: int, statements: Statements) -> None:
        self._random = random.Random(seed)
        self.statements = statements
        statements.plan = self._plan
        self._left = 0
        self._fault = Fault.REPLY_LOST
        self._at = 0
        """Which statement of a transaction is struck; 0: its COMMIT."""
        self._ours: list[str] = []
        """Statements of the transaction under way, without the settings of a new connection."""
        self.lost_reads = 0
        """COMMITs of transactions that wrote nothing, whose replies were lost."""

    def strike(self) -> None:
        """Draw what happens to the next verb: mostly one lost answer to COMMIT, sometimes more than it has tries."""
        draw = self._random.random
        self._left = 1 if draw() < 0.8 else self._random.choice((2, 3, 3, 5))
        self._at = 0 if draw() < 0.85 else self._random.randint(1, 5)
        kinds = [Fault.REPLY_LOST] * 8 + [Fault.REPLY_CUT] * 2 + [Fault.BEFORE, Fault.WITHIN]
        self._fault = self._random.choice(kinds if self._at == 0 else list(Fault))
        if draw() < 0.04:
            self.calm()

    def calm(self) -> None:
        """Nothing more happens."""
        self._left = 0

    def _plan(self, text: str) -> Fault | None:
        if text.startswith("BEGIN"):
            self._ours = []
            return None
        if not text.startswith(("SET ", "COMMIT", "ROLLBACK")):
            self._ours.append(text)
        due = text == "COMMIT" if self._at == 0 else len(self._ours) == self._at
        if not self._left or not self._ours or not due:
            return None
        self._left -= 1
        if text == "COMMIT" and self._fault in (Fault.REPLY_LOST, Fault.REPLY_CUT):
            self.lost_reads += not any(word in said.upper() for said in self._ours for word in _WRITES)
        return self._fault


@dataclass
class Tally:
    """What was done and what happened, over all lives."""

    verbs: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    """Verbs whose tries were spent: the caller was told 503 and asked again."""
    checks: int = 0
    events: int = 0


@dataclass
class Life:
    """One user and one media. `desk`: claimed wishes by key, shared by all lives of a database."""

    seed: int
    stores: Stores
    direct: psycopg.AsyncConnection[Any]
    trouble: Trouble
    tally: Tally
    desk: dict[uuid.UUID, Wish]
    told: list[str] = field(default_factory=list)
    """The events that this user must have."""
    user: uuid.UUID = field(default_factory=new_id)

    async def live(self) -> None:
        """From the account to the end of the run, and then maybe a rerun that is cancelled, and the deletion."""
        choose = random.Random(self.seed)
        await self._account()
        new = NewMedia(new_id(), new_id(), self.user, "a.png", None, f"images/{uuid.uuid4()}", 10, "ab" * 32, PROBE)
        await self._accept(new)
        await self._freeze(new.run_id)
        await self._start(new.run_id, MODELS)
        for model in MODELS:
            await self._examine(choose, new.run_id, model)
        await self._conclude(new, new.run_id, 1)
        if choose.random() < 0.4:
            await self._rerun_and_cancel(new)
        if choose.random() < 0.4:
            await self._remove(new)

    # -- how a verb is called -----------------------------------------------------------------------------------------

    async def verb(
        self, name: str, call: Callable[[], Awaitable[T]], *, done_already: type[Exception] | None = None
    ) -> T | None:
        """Call it in trouble; where its tries are spent, call it once more in peace, as its caller would.

        `done_already`: what that second call says when the first one was given up after its COMMIT; then None.
        """
        self.tally.verbs[name] += 1
        self.trouble.strike()
        try:
            return await call()
        except Unavailable:
            self.tally.given_up[name] += 1
            self.trouble.calm()
            try:
                return await call()
            except Exception as error:
                if done_already is not None and isinstance(error, done_already):
                    return None
                raise
        finally:
            self.trouble.calm()

    async def must(self, expected: object, query: str, *values: object) -> None:
        """The one value of a query; then the events, each once and in order, numbered without a gap."""
        found = await self.one(query, *values)
        assert found == expected, f"seed {self.seed}: {query} {values}: {found!r}, not {expected!r}"
        rows = await (
            await self.direct.execute("SELECT seq, type FROM events WHERE user_id = %s ORDER BY seq", (self.user,))
        ).fetchall()
        assert rows == list(enumerate(self.told, 1)), f"seed {self.seed}: {rows}, not {self.told}"
        last = await self.one("SELECT max(last_seq) FROM event_counters WHERE user_id = %s", self.user)
        assert (last or 0) == len(self.told), f"seed {self.seed}: the counter says {last}"
        self.tally.checks += 1

    async def one(self, query: str, *values: object) -> Any:
        row = await (await self.direct.execute(query.encode(), values)).fetchone()
        assert row is not None
        return row[0]

    # -- the verbs ----------------------------------------------------------------------------------------------------

    async def _account(self) -> None:
        email = f"{self.user}@example.org"

        async def create() -> uuid.UUID:
            made = await self.stores.users.create(email=email, password_hash="x", first_name="A", last_name="L")
            return made.id

        made = await self.verb("create", create, done_already=EmailTaken)
        self.user = made or await self.one("SELECT id FROM users WHERE email = %s", email)
        await self.must(1, "SELECT count(*) FROM users WHERE email = %s", email)
        jti, later = new_id(), datetime.now(UTC) + timedelta(hours=1)
        await self.verb("open_session", lambda: self.stores.users.open_session(self.user, jti, 0, later))
        await self.must(1, "SELECT count(*) FROM sessions WHERE user_id = %s", self.user)
        await self.verb("change_password", lambda: self.stores.users.change_password(self.user, "y", jti))
        both = "SELECT u.token_generation + 10 * s.generation FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.id = %s"
        await self.must(11, both, self.user)

    async def _accept(self, new: NewMedia) -> None:
        await self.verb("accept", lambda: self.stores.media.accept(new))
        self.told.append("RUN_QUEUED")
        rows = "SELECT count(DISTINCT m.id) * 1000 + count(DISTINCT r.id) * 100 + count(DISTINCT o.key) * 10 + count(i.media_id)"
        rows += " FROM media m JOIN analysis_runs r ON r.media_id = m.id JOIN image_metadata i ON i.media_id = m.id"
        rows += " JOIN outbox o ON o.kind = 'create' AND o.key = r.id WHERE m.user_id = %s"
        await self.must(1111, rows, self.user)
        await self._dispatch("create", new.run_id)

    async def _dispatch(self, kind: str, key: uuid.UUID) -> None:
        """What the dispatcher does with a wish: claim, come again later, claim, done."""
        await self._claim(key)
        wished = self.desk.pop(key)
        await self.verb("later", lambda: self.stores.outbox.later(wished, 0.0, "once more"))
        await self.must("once more", "SELECT last_error FROM outbox WHERE kind = %s AND key = %s", kind, key)
        await self._claim(key)
        wished = self.desk.pop(key)
        await self.verb("done", lambda: self.stores.outbox.done(wished))
        await self.must(0, "SELECT count(*) FROM outbox WHERE kind = %s AND key = %s", kind, key)

    async def _claim(self, key: uuid.UUID) -> None:
        """Claim until this wish lies on the desk; everybody's wishes are taken, as any replica does."""
        while key not in self.desk:
            tries = await self.one("SELECT tries FROM outbox WHERE key = %s", key)
            for wished in await self.verb("claim", lambda: self.stores.outbox.claim(100)) or []:
                self.desk[wished.key] = wished
            if key not in self.desk and await self.one("SELECT tries FROM outbox WHERE key = %s", key) > tries:
                # Given up after its COMMIT, or in another's hands: time passes, and it comes up again.
                await self.direct.execute("UPDATE outbox SET next_try_at = now() WHERE key = %s", (key,))

    async def _freeze(self, run: uuid.UUID) -> None:
        chosen = [FrozenModel(m, "1", "service:main", "service", BUDGET) for m in MODELS]
        await self.verb("freeze", lambda: self.stores.runs.freeze(run, chosen))
        self.told += ["ANALYSIS_QUEUED"] * len(MODELS)
        await self.must(len(MODELS), "SELECT count(*) FROM analyses WHERE run_id = %s", run)

    async def _start(self, run: uuid.UUID, models: tuple[str, ...], number: int = 1) -> None:
        deadlines = dict.fromkeys(MODELS, 600.0)
        given_up = self.tally.given_up["start_attempts"]
        admitted = await self.verb("start_attempts", lambda: self.stores.admission.start_attempts(run, CAPS, deadlines))
        if self.tally.given_up["start_attempts"] == given_up:
            expected = {m: attempt_id(analysis_id(run, m), number) for m in models}
            assert admitted is not None
            assert dict(admitted.started) == expected, f"seed {self.seed}: {admitted}"
        made = "SELECT count(*) FROM attempts t JOIN analyses a ON a.id = t.analysis_id WHERE a.run_id = %s"
        await self.must(len(models), made + " AND a.model = ANY(%s) AND t.number = %s", run, list(models), number)
        made_jobs = {attempt_id(analysis_id(run, m), number): (f"job-{m}", f"uid-{m}-{number}") for m in models}
        await self.verb("note_jobs", lambda: self.stores.runs.note_jobs(made_jobs))
        await self.must(0, made + " AND t.job_uid IS NULL", run)

    async def _examine(self, choose: random.Random, run: uuid.UUID, model: str) -> None:
        """Attempts until one hands in, or fails for good, or the budget is spent."""
        analysis, results = analysis_id(run, model), self.stores.results
        for number in range(1, BUDGET + 1):
            if number > 1:
                await self._start(run, (model,), number)
            attempt = attempt_id(analysis, number)
            await self.verb("begin", lambda attempt=attempt: results.begin(attempt))  # type: ignore[misc]
            self.told += ["PROCESSING_STARTED"] if "PROCESSING_STARTED" not in self.told else []
            self.told.append("ANALYSIS_STARTED")
            await self.must("STARTED", "SELECT state FROM attempts WHERE id = %s", attempt)
            fate = choose.choice(("answer", "answer", "answer", "crash", "internal", "bad media"))
            if fate == "answer":
                await self._hand_in(attempt, analysis, model)
                return
            await self._fail(attempt, analysis, number, fate)
            records = "SELECT count(*) FROM analysis_errors WHERE analysis_id = %s"
            await self.must(number, records, analysis)
            if fate == "bad media":
                return

    async def _hand_in(self, attempt: uuid.UUID, analysis: uuid.UUID, model: str) -> None:
        results, key = self.stores.results, f"artifacts/{attempt}"
        artifact = NewArtifact("a.png", "heatmap", key, "image/png", 1, "cd" * 32)
        await self.verb("put_artifact", lambda: results.put_artifact(attempt, artifact, 32))
        await self.must(key, "SELECT max(key) FROM artifacts WHERE attempt_id = %s HAVING count(*) = 1", attempt)
        frames = [{"number": n, "score": 0.5, "prediction": "FAKE", "timestamp": n / 25} for n in range(3)]
        answer = result(model, frames=frames, facts={"n": 1.5}, artifacts=["a.png"])
        await self.verb("store", lambda: results.store(attempt, answer))
        self.told.append("ANALYSIS_COMPLETED")
        rows = "SELECT count(*) FROM frame_analysis f JOIN analyses a ON a.id = f.analysis_id WHERE a.id = %s AND a.status = 'COMPLETED'"
        await self.must(3, rows, analysis)
        assert (await results.store(attempt, answer)).accepted is False
        await self.verb("attempt_ended", lambda: self.stores.runs.attempt_ended(attempt, Ended(None, "Completed", "")))
        await self.must(1, "SELECT count(*) FROM attempts WHERE id = %s AND job_ended_at IS NOT NULL", attempt)

    async def _fail(self, attempt: uuid.UUID, analysis: uuid.UUID, number: int, fate: str) -> None:
        error = {"crash": None, "internal": ErrorClass.INTERNAL, "bad media": ErrorClass.BAD_MEDIA}[fate]
        if error is not None:
            await self.verb("failed", lambda: self.stores.results.failed(attempt, error, "it failed", None))
            self.told += ["ANALYSIS_FAILED"] if error is ErrorClass.BAD_MEDIA else []
            await self.must("FAILED", "SELECT state FROM attempts WHERE id = %s", attempt)
        ended = Ended(ErrorClass.CRASHED if error is None else None, "Failed", "", retry_in=0.0)
        await self.verb("attempt_ended", lambda: self.stores.runs.attempt_ended(attempt, ended))
        if error is not ErrorClass.BAD_MEDIA:
            self.told.append("ANALYSIS_RETRYING" if number < BUDGET else "ANALYSIS_FAILED")
        open_still = error is not ErrorClass.BAD_MEDIA and number < BUDGET
        await self.must("PROCESSING" if open_still else "FAILED", "SELECT status FROM analyses WHERE id = %s", analysis)

    async def _conclude(self, new: NewMedia, run: uuid.UUID, number: int) -> None:
        await self.verb("conclude", lambda: self.stores.runs.conclude(run))
        self.told.append("RUN_COMPLETED")
        final = "SELECT m.status = r.status AND r.finished_at IS NOT NULL FROM media m JOIN analysis_runs r ON r.id = m.latest_run_id WHERE m.id = %s AND r.number = %s"
        await self.must(True, final, new.id, number)

    async def _rerun_and_cancel(self, new: NewMedia) -> None:
        rerun = self.stores.media.rerun
        await self.verb("rerun", lambda: rerun(self.user, new.id, reason="again"), done_already=RunActive)
        self.told.append("RUN_QUEUED")
        await self.must(2, "SELECT max(number) FROM analysis_runs WHERE media_id = %s HAVING count(*) = 2", new.id)
        run = await self.one("SELECT latest_run_id FROM media WHERE id = %s", new.id)
        await self._dispatch("create", run)
        await self._freeze(run)
        asked = await self.verb("request_cancel", lambda: self.stores.media.request_cancel(self.user, new.id))
        assert asked == run
        await self.must(1, "SELECT count(*) FROM analysis_runs WHERE id = %s AND cancel_requested_at IS NOT NULL", run)
        await self.verb("carry_out_cancel", lambda: self.stores.runs.carry_out_cancel(run))
        self.told += ["ANALYSIS_FAILED"] * len(MODELS)
        await self.must(
            len(MODELS), "SELECT count(*) FROM analyses WHERE run_id = %s AND error_class = 'CANCELLED'", run
        )
        await self._conclude(new, run, 2)

    async def _remove(self, new: NewMedia) -> None:
        await self.verb("remove", lambda: self.stores.media.remove(self.user, new.id), done_already=NotFound)
        self.told = ["MEDIA_DELETED"] * (len(self.told) + 1)
        await self.must("", "SELECT filename FROM media WHERE id = %s AND deleted_at IS NOT NULL", new.id)
        await self.verb("erased", lambda: self.stores.media.erased(new.id))
        await self.must(0, "SELECT count(*) FROM media WHERE id = %s", new.id)
        await self._dispatch("erase", new.id)
