"""The operator and the dispatcher as they are in production, with every neighbour's method a step of the world.

Built here: the real `Reconciler` with its chapters `Attempts`, `Starting` and `Reporting`, the real `choose`, `judge`
and `status_of`, the real `Jobs` and `MediaAnalyses`; and the real `Dispatcher`. Each look is made by an operator that
has just started: it remembers nothing, for nothing may depend on what it remembers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from drishtiksha.database.admission import Admitted, Caps
from drishtiksha.database.media import Erasure, ResourceFacts
from drishtiksha.database.outbox import Wish
from drishtiksha.database.runs import Concluded, Ended, FrozenModel
from drishtiksha.database.snapshot import AnalysisSnapshot, AttemptSnapshot, RunSnapshot
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.media import MediaType
from drishtiksha.domain.status import AnalysisStatus, AttemptState, RunStatus
from drishtiksha.resources import MediaAnalyses
from drishtiksha.settings import ML, Operator
from drishtiksha_api import dispatcher as production_dispatcher
from drishtiksha_operator import attempts, jobs, reconcile, reporting, starting
from drishtiksha_operator.config import parse
from drishtiksha_operator.discovery import Answer, Listed, Look
from drishtiksha_operator.health import Figures
from drishtiksha_operator.manifests import Place

from .cluster import Kube
from .program import Program, ask, one_by_one
from .state import (
    ANALYSIS_IDS,
    ATTEMPT_IDS,
    ATTEMPT_OF,
    DUE,
    EXAM_OF,
    HIDDEN,
    LATER,
    MEDIA_IDS,
    MODELS,
    NOT_YET,
    REJECTED,
    RUN_IDS,
    RUN_OF,
    USER_IDS,
    Exam,
    Run,
    Try,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SETTINGS = Operator.model_validate({"DRISHTIKSHA_SECOND_LOOK": 0.001})
_CONFIG = parse("", ML.model_validate({"SERVER_URL": "http://ml", "SERVER_API_KEY": "key"}), {})
_FIGURES = Figures()
_PLACE = Place("d", "http://door", "drishtiksha/jobrunner", 600)
_KEYS = SimpleNamespace(attempt_token=lambda _id: "token", run_ml_key=lambda _id: "key")


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def _attempt(r: int, model: str, number: int, one: Try) -> AttemptSnapshot:
    started = one.state in ("STARTED", "SUCCEEDED") or (one.state != "CREATED" and one.uid is not None)
    return AttemptSnapshot(
        id=ATTEMPT_IDS[r, model, number], number=number, state=AttemptState(one.state), job_name=None,
        job_uid=one.uid, error_class=ErrorClass(one.error) if one.error else None, reason=one.reason, message=one.reason,
        node="n", running_deadline=SETTINGS.running_deadline,
        created_at=ago(SETTINGS.pending_deadline + 1 if one.state == "CREATED" and one.late else 10),
        seen_at=ago(SETTINGS.silence + 1 if one.silent else 1) if started else None,
        started_at=ago(SETTINGS.running_deadline + 60 if one.state == "STARTED" and one.late else 5) if started else None,
        finished_at=None if one.state in ("CREATED", "STARTED") else ago(61 if one.late else 1),
        job_ended_at=None if one.held else NOW,
    )  # fmt: skip


def _analysis(r: int, exam: Exam, budget: int) -> AnalysisSnapshot:
    return AnalysisSnapshot(
        id=ANALYSIS_IDS[r, exam.model], model=exam.model, model_version="1", source="default", execution="service",
        status=AnalysisStatus(exam.status), attempt=len(exam.tries), budget=budget,
        retry_at=None if exam.retry == NOT_YET else NOW + timedelta(seconds=5) if exam.retry == LATER else ago(1),
        pending_reason=exam.why, pending_message=exam.why,
        prediction="INCONCLUSIVE" if exam.status == "COMPLETED" else None,
        error_class=ErrorClass(exam.error) if exam.error else None, error_message=exam.error,
        started_at=None, finished_at=None,
        attempts=tuple(_attempt(r, exam.model, n, one) for n, one in enumerate(exam.tries, 1)),
    )  # fmt: skip


def snapshot_of(r: int, run: Run, deleted: bool, budget: int) -> RunSnapshot:
    """A run's rows as the operator reads them."""
    terminal = run.status not in ("QUEUED", "PROCESSING")
    return RunSnapshot(
        id=RUN_IDS[r], media_id=MEDIA_IDS[run.media], user_id=USER_IDS[0], number=run.number,
        media_type=MediaType.IMAGE, has_audio=False, status=RunStatus(run.status), frozen=run.frozen, deleted=deleted,
        cancel_requested=run.cancel, reason=ErrorClass(run.reason) if run.reason else None, message=None,
        requested_models=None, traceparent=None, verdict=None, verdict_basis=None, verdict_score=None,
        created_at=ago(SETTINGS.run_age_limit + 1 if run.old else 60), started_at=None,
        finished_at=NOW if terminal else None, create_pending=run.wish in (DUE, HIDDEN),
        create_rejected="refused" if run.wish == REJECTED else None,
        analyses=tuple(_analysis(r, e, budget) for e in run.exams), now=NOW,
    )  # fmt: skip


class Rows:
    """`Runs`, `Admission` and `Outbox` of the operator."""

    def __init__(self, budget: int, kube: Kube) -> None:
        self.budget = budget
        self.kube = kube
        """The same look's other neighbour (a mutant turns their order around)."""

    async def snapshot(self, run_id: Any) -> RunSnapshot | None:
        found = await ask("snapshot", RUN_OF[str(run_id)])
        return None if found is None else snapshot_of(RUN_OF[str(run_id)], *found, self.budget)

    async def freeze(self, run_id: Any, models: list[FrozenModel]) -> None:
        await ask("freeze", RUN_OF[str(run_id)], tuple((m.name, m.budget) for m in models))

    async def note_jobs(self, made: dict[Any, tuple[str, str]]) -> None:
        await ask("note_jobs", tuple(sorted((ATTEMPT_OF[a], uid) for a, (_, uid) in made.items())))

    async def note_pending(self, analysis: Any, reason: str | None, message: str | None) -> None:
        await ask("note_pending", EXAM_OF[analysis], reason)

    async def note_node(self, attempt_id: Any, node: str) -> None:
        raise AssertionError("the node is known")

    async def attempt_ended(self, attempt_id: Any, ended: Ended) -> None:
        error = ended.error_class.value if ended.error_class else None
        await ask("attempt_ended", ATTEMPT_OF[attempt_id], error, ended.reason, ended.job_ended)

    async def fail_analysis(self, analysis: Any, error_class: ErrorClass, message: str) -> None:
        await ask("fail_analysis", EXAM_OF[analysis], error_class.value)

    async def carry_out_cancel(self, run_id: Any) -> None:
        await ask("carry_out_cancel", RUN_OF[str(run_id)])

    async def conclude(self, run_id: Any, *, unfrozen: ErrorClass | None = None, **_: Any) -> Concluded | None:
        done = await ask("conclude", RUN_OF[str(run_id)], unfrozen.value if unfrozen else None)
        return None if done is None else Concluded(RunStatus(done[0]), ErrorClass(done[1]) if done[1] else None, None)

    async def start_attempts(self, run_id: Any, caps: Caps, deadlines: Any) -> Admitted:
        r = RUN_OF[str(run_id)]
        mine, waits, others = await ask("start_attempts", r)
        numbers = {model: ATTEMPT_IDS[r, model, 1] for model in mine}
        return Admitted(numbers, dict(waits), others)

    async def again(self, run_id: Any) -> None:
        await ask("again", RUN_OF[str(run_id)])


class Service:
    """`Discovery`: one ML service that is away, or lists some models, or none."""

    answers: tuple[Answer, ...] = ()

    async def look(self, *, after: float | None = None) -> Look:
        told = await ask("ml")
        if told == "away":
            return Look(1.0, (Answer("default", True, error="it cannot be reached"),))
        names = {"all": MODELS, "none": (), "fewer": MODELS[:1]}[told.split(":")[0]]
        names = names[: int(told.split(":")[1])] if ":" in told else names
        listed = tuple(Listed(n, "1", True, False, frozenset({MediaType.IMAGE}), False) for n in names)
        return Look(1.0, (Answer("default", True, listed, uptime=999.0),))


def operator(budget: int) -> Program:
    """The operator's look at one run, begun with the run's number."""

    def begin(r: int) -> Coroutine[Any, Any, Any]:
        kube = Kube()
        rows = Rows(budget, kube)
        analyses = MediaAnalyses(kube, "d")  # type: ignore[arg-type]
        its_jobs = jobs.Jobs(kube, "d", 20)  # type: ignore[arg-type]
        settings = SETTINGS.model_copy(update={"attempts": budget, "second_look": 0.0})
        service: Any = Service()
        begins = starting.Starting(
            rows, rows, its_jobs, service, _CONFIG, settings, _KEYS, _PLACE, _FIGURES, lambda _key: None  # type: ignore[arg-type]
        )  # fmt: skip
        ends = attempts.Attempts(rows, its_jobs, _CONFIG, settings, _FIGURES, lambda: None)  # type: ignore[arg-type]
        reports = reporting.Reporting(analyses, its_jobs, lambda: 1.0)
        story = reconcile.Reconciler(
            rows, rows, SimpleNamespace(), analyses, service, ends, begins, reports, _CONFIG, settings, _FIGURES,  # type: ignore[arg-type]
            lambda: 1.0,
        )  # fmt: skip
        return story.look(str(RUN_IDS[r]))

    return Program(begin)


class MediaRows:
    """`MediaStore` of the dispatcher."""

    async def resource_facts(self, run_id: Any) -> ResourceFacts | None:
        found = await ask("resource_facts", RUN_OF[str(run_id)])
        if not found:
            return None
        return ResourceFacts(run_id, 1, MEDIA_IDS[0], MediaType.IMAGE, False, None, None)

    async def erasure(self, media_id: Any) -> Erasure | None:
        found = await ask("erasure", MEDIA_IDS.index(media_id))
        if found is None:
            return None
        runs, aged = found
        return Erasure(tuple(RUN_IDS[r] for r in runs), ("original",), 1000.0 if aged else 1.0)

    async def erased(self, media_id: Any) -> None:
        await ask("erased", MEDIA_IDS.index(media_id))


class Wishes:
    """`Outbox` of the dispatcher, after the claim."""

    async def done(self, wished: Wish) -> None:
        await ask("wish_done", wished.kind, _key(wished))

    async def later(self, wished: Wish, delay: float, error: str | None) -> None:
        await ask("wish_later", wished.kind, _key(wished))

    async def rejected(self, wished: Wish, error: str) -> None:
        await ask("wish_rejected", wished.kind, _key(wished))


def _key(wished: Wish) -> int:
    return RUN_OF[str(wished.key)] if wished.kind == "create" else MEDIA_IDS.index(wished.key)


class Bytes:
    """The object store of one media."""

    def __init__(self, media: int) -> None:
        self.media = media

    async def list(self, prefix: str) -> AsyncIterator[Any]:
        if await ask("list_bytes", self.media):
            yield SimpleNamespace(key="original")

    async def delete(self, key: str) -> None:
        await ask("delete_bytes", self.media)


def dispatcher() -> Program:
    """The dispatcher with one claimed wish: ("create", run) or ("erase", media)."""

    def begin(what: tuple[str, int]) -> Coroutine[Any, Any, Any]:
        kind, key = what
        its_id = RUN_IDS[key] if kind == "create" else MEDIA_IDS[key]
        analyses = MediaAnalyses(Kube(), "d")  # type: ignore[arg-type]
        made = production_dispatcher.Dispatcher(Wishes(), MediaRows(), analyses, Bytes(key))  # type: ignore[arg-type]
        return made._carry_out(Wish(kind, its_id, 1, 1.0))  # type: ignore[arg-type]

    return Program(begin)


_SHIM = SimpleNamespace(gather=one_by_one, Semaphore=asyncio.Semaphore, Event=asyncio.Event)


class _Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_kwargs: None


QUIET = [
    *((module, "asyncio", _SHIM) for module in (reconcile, starting, jobs, production_dispatcher)),
    *((module, "log", _Silent()) for module in (reconcile, starting, attempts, production_dispatcher)),
]
"""What is put in place of modules' names while exploring: calls one by one instead of at once, and no log lines."""
