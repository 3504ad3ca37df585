"""A world as a value: rows, cluster, bytes, and how far each process is. Small, hashable, compared by value.

Times are told as what they mean (a retry is due, a clock has run out), so that the world stays finite. Statuses are
plain strings; `rows` turns them into the domain's enums where production code is asked.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from drishtiksha.domain.analysis import analysis_id, attempt_id

OPEN_RUN = ("QUEUED", "PROCESSING")
OPEN_EXAM = ("PENDING", "PROCESSING")
OPEN_TRY = ("CREATED", "STARTED")
NO_WISH, DUE, HIDDEN, REJECTED = range(4)
"""Of an outbox row: none, to be claimed, claimed or put off (nobody gets it for a while), refused by the cluster."""
NOT_YET, LATER, NOW = range(3)
"""Of a retry: none is planned, it is planned, its time has come."""


class Try(NamedTuple):
    """An attempt's row. `uid`: its Job's, as written down; `held`: it holds its place; `late`: its clock has run out."""

    state: str = "CREATED"
    uid: str | None = None
    error: str | None = None
    reason: str | None = None
    held: bool = True
    late: bool = False
    silent: bool = False
    made: int = 0
    """How many Jobs of this name the cluster has seen (not a column: it makes uids)."""


class Exam(NamedTuple):
    """An analysis' row. The current attempt is the last. `winner`: the attempt whose result is stored, 0 for none."""

    model: str
    status: str = "PENDING"
    retry: int = NOT_YET
    why: str | None = None
    error: str | None = None
    winner: int = 0
    tries: tuple[Try, ...] = ()


class Run(NamedTuple):
    """A run's row with its outbox row. `old`: past its age limit. `asked`: somebody asked for its end (not a column)."""

    media: int
    number: int = 1
    status: str = "QUEUED"
    reason: str | None = None
    frozen: bool = False
    cancel: bool = False
    old: bool = False
    wish: int = DUE
    exams: tuple[Exam, ...] = ()
    made: int = 0
    asked: bool = False
    offered: int = 0
    """How many models were offered when the set was frozen (not a column)."""


class Media(NamedTuple):
    """A media's row with its outbox row and its bytes. `latest`: index of its latest run; `aged`: an old tombstone."""

    status: str = "QUEUED"
    latest: int = 0
    deleted: bool = False
    aged: bool = False
    erase: int = NO_WISH
    gone: bool = False
    bytes: bool = True
    user: int = 0


class Res(NamedTuple):
    """A MediaAnalysis. `status`: number of the status object that it shows."""

    uid: str
    deleting: bool = False
    finalizer: bool = True
    status: int = 0


class Pod(NamedTuple):
    """A pod of a Job. `code`: the runner's exit code, None while it runs; `begun`: the door took its first call."""

    begun: bool = False
    code: int | None = None
    lost: bool = False


class Job(NamedTuple):
    """A Job. `cond`: '', 'met' or 'target' (early conditions), 'complete', 'failed'."""

    run: int
    model: str
    number: int
    uid: str
    owner: str
    cond: str = ""
    deleting: bool = False
    pods: tuple[Pod, ...] = (Pod(),)

    @property
    def ended(self) -> bool:
        return self.cond in ("complete", "failed")


class State(NamedTuple):
    """A whole world. `ops`, `disps`: the process' place in its program, None when it is idle. `left`: what may still
    happen of each kind of trouble. `ml`: what the ML service answers."""

    media: tuple[Media, ...]
    runs: tuple[Run, ...]
    res: tuple[Res | None, ...]
    jobs: tuple[Job, ...] = ()
    ops: tuple[Any, ...] = (None,)
    disps: tuple[Any, ...] = (None,)
    ml: str = "all"
    left: tuple[int, ...] = ()


def at(items: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    """The tuple with one item replaced."""
    return (*items[:index], value, *items[index + 1 :])


def with_run(s: State, r: int, run: Run) -> State:
    return s._replace(runs=at(s.runs, r, run))


def with_media(s: State, m: int, media: Media) -> State:
    return s._replace(media=at(s.media, m, media))


def with_exam(s: State, r: int, index: int, exam: Exam) -> State:
    run = s.runs[r]
    return with_run(s, r, run._replace(exams=at(run.exams, index, exam)))


def alive(s: State, r: int) -> bool:
    """Whether the run's rows are there."""
    return not s.media[s.runs[r].media].gone


# Ids are those of production: functions of the run's id.

MODELS = ("A", "B", "C")
RUN_IDS = tuple(uuid.UUID(int=n + 1) for n in range(6))
RUN_OF = {str(run): index for index, run in enumerate(RUN_IDS)}
MEDIA_IDS = tuple(uuid.UUID(int=n + 101) for n in range(6))
USER_IDS = tuple(uuid.UUID(int=n + 201) for n in range(6))
ANALYSIS_IDS = {(r, m): analysis_id(RUN_IDS[r], m) for r in range(6) for m in MODELS}
EXAM_OF = {value: key for key, value in ANALYSIS_IDS.items()}
ATTEMPT_IDS = {(r, m, n): attempt_id(ANALYSIS_IDS[r, m], n) for r in range(6) for m in MODELS for n in range(1, 5)}
ATTEMPT_OF = {value: key for key, value in ATTEMPT_IDS.items()}


def position(run: Run, model: str) -> int:
    """Where a model's analysis stands in its run."""
    return next(i for i, e in enumerate(run.exams) if e.model == model)
