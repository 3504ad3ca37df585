"""What to do about one attempt, from what the rows say and what was seen in the cluster. Pure: no clock, no call.

`reconcile` looks, asks `judge`, and carries out. The end of an attempt is the end of its Job, or a clock of ours;
a class that the runner reported itself is kept by the database whatever is said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drishtiksha.database.snapshot import AnalysisSnapshot, AttemptSnapshot
from drishtiksha.domain.errors import EXIT_CODES, RUNNER_CLASSES, ErrorClass
from drishtiksha.domain.status import AttemptState

from .seen import Diagnosis, JobSeen, PodSeen, newest

EXIT_GRACE = 60.0
"""Seconds that a runner which reported its failure has to exit before its Job is deleted."""
LOOK_AT_PODS = 30.0
"""Seconds after which a Job whose runner has not called is worth a look at its pods."""
AFTER_DEADLINE = 20.0
"""Seconds that a result may be late: the runner ends itself at its deadline, and its last call may be on its way."""

_BY_EXIT_CODE = {code: error for error, code in EXIT_CODES.items() if error in RUNNER_CLASSES}


@dataclass(frozen=True)
class Clocks:
    """Limits in seconds: pending (from the attempt to its start), hopeless (what does not heal by itself), silence."""

    pending: float
    hopeless: float
    silence: float


@dataclass(frozen=True)
class End:
    """An attempt is over. `error_class` None: its Job completed. `job_ended` False: the Job is still to be deleted.

    `cause`: what the cluster knows of a failure beyond the runner's own word.
    """

    error_class: ErrorClass | None
    reason: str
    message: str
    job_ended: bool = True
    cause: str | None = None


@dataclass(frozen=True)
class Judgement:
    """What to do about an attempt now; `look_in` seconds after which to look again at the latest.

    Making the Job of an attempt that has none is no judgement: `starting` does it whenever the rows ask for it.
    """

    note_uid: str | None = None
    end: End | None = None
    delete: bool = False
    waits: Diagnosis | None = None
    look_in: float | None = None


def needs_pods(attempt: AttemptSnapshot, job: JobSeen | None, clocks: Clocks, now: datetime) -> bool:
    """Whether the pods have to be looked at before this attempt can be judged, or its node be told."""
    if job is None or attempt.job_ended_at is not None:
        return False
    if attempt.started_at is not None and attempt.node is None:
        return True
    if attempt.ended:
        return job.ended and _lost_its_model(attempt)
    if job.ended:
        return True
    if attempt.state is AttemptState.CREATED:
        return _age(attempt.created_at, now) >= LOOK_AT_PODS
    return _silent_for(attempt, now) >= clocks.silence


def judge(
    attempt: AttemptSnapshot,
    job: JobSeen | None,
    pods: Sequence[PodSeen],
    clocks: Clocks,
    now: datetime,
    *,
    owner_uid: str | None,
    refused: Diagnosis | None = None,
) -> Judgement:
    """What to do about an attempt whose Job has not been seen to end.

    `job` and `pods` come from a look made after the rows were read; `owner_uid` is that of the run's resource, None
    when it is gone; `refused` tells why a Job has no pod.
    """
    if job is not None and attempt.job_uid is None and owner_uid is not None and job.owner_uid != owner_uid:
        # An earlier incarnation's Job has our name: the garbage collector has not reached it yet.
        if _age(attempt.created_at, now) < clocks.pending:
            return Judgement(
                waits=Diagnosis("ForeignJob", "A Job of this name belongs to another owner."), look_in=10.0
            )
        text = "A Job of this name belongs to another owner and does not go away."
        return Judgement(end=End(ErrorClass.CLUSTER_REJECTED, "ForeignJob", text))
    if job is None or (attempt.job_uid is not None and attempt.job_uid != job.uid):
        return _without_job(attempt, clocks, now)
    if job.ended:
        return Judgement(end=_job_end(attempt, job, pods, now))
    if attempt.ended:
        # Fenced: nothing it does counts any more. Handed in, or failed by its own word: it is about to exit by itself,
        # and its log is worth keeping.
        overdue = attempt.finished_at is None or _age(attempt.finished_at, now) >= EXIT_GRACE
        doomed = attempt.state is AttemptState.FENCED or (attempt.state is AttemptState.FAILED and overdue)
        return Judgement(delete=doomed and not job.deleting, look_in=60.0)
    noted = job.uid if attempt.job_uid is None else None
    if attempt.state is AttemptState.CREATED:
        found = _pending(attempt, list(pods), clocks, now, refused)
    else:
        found = _running(attempt, list(pods), clocks, now)
    return Judgement(
        note_uid=noted, end=found.end, delete=found.end is not None, waits=found.waits, look_in=found.look_in
    )


def retry_delay(attempt: int, jitter: float) -> float:
    """Seconds before the attempt after number `attempt`: 5 s doubled per attempt, times a jitter of about 1."""
    return float(5.0 * 2 ** (attempt - 1) * jitter)


def too_old(analysis: AnalysisSnapshot) -> bool:
    """Whether the run's age limit ends this analysis: it waits, and nothing of it is in flight."""
    return not analysis.terminal and all(a.job_ended_at is not None for a in analysis.attempts)


def _without_job(attempt: AttemptSnapshot, clocks: Clocks, now: datetime) -> Judgement:
    if attempt.job_uid is not None and attempt.ended:
        return Judgement(end=End(None, "JobGone", "The Job of this attempt is gone from the cluster."))
    if attempt.ended:
        return Judgement(end=End(None, "NoJob", "The attempt ended before it had a Job."))
    if attempt.job_uid is not None or attempt.started_at is not None:
        # Its runner called, so it had a Job, even if nobody lived to write it down.
        return Judgement(end=End(ErrorClass.CRASHED, "JobGone", "The Job of this attempt is gone from the cluster."))
    if _age(attempt.created_at, now) >= clocks.pending:
        return Judgement(end=End(ErrorClass.UNSCHEDULABLE, "PendingDeadline", "No Job could be made in time."))
    return Judgement(look_in=30.0)


def _job_end(attempt: AttemptSnapshot, job: JobSeen, pods: Sequence[PodSeen], now: datetime) -> End:
    """How an ended Job is told. The runner may have handed in between our reading and this look: the rows decide."""
    if job.complete:
        if attempt.ended:
            return End(None, "Completed", "The Job completed.")
        return End(ErrorClass.INTERNAL, "NoResult", "The runner ended without handing in a result.")
    told = job.message or job.reason or "the Job failed"
    pod = newest(list(pods))
    if attempt.ended:
        if _lost_its_model(attempt) and pod is not None and pod.oom is not None:
            return End(None, "OOMKilled", told, cause=_out_of_memory(pod.oom))
        return End(None, job.reason or "Failed", told)
    if attempt.started_at is not None and _age(attempt.started_at, now) >= attempt.running_deadline:
        return End(ErrorClass.DEADLINE, "DeadlineExceeded", _late(attempt))
    if job.reason == "DeadlineExceeded" or (pod is not None and pod.reason == "DeadlineExceeded"):
        if attempt.started_at is None:
            return End(ErrorClass.UNSCHEDULABLE, "DeadlineExceeded", "The pod did not start its work in time.")
        return End(ErrorClass.DEADLINE, "DeadlineExceeded", _late(attempt))
    if pod is None:
        return End(ErrorClass.CRASHED, job.reason or "Failed", f"The Job failed: {told}")
    if pod.oom is not None and (pod.exit_code is None or pod.signal):
        return End(ErrorClass.CRASHED, "OOMKilled", _out_of_memory(pod.oom))
    if pod.exit_code is None or pod.signal or pod.reason in ("Evicted", "NodeLost", "Shutdown", "Terminated"):
        why = pod.reason or (f"exit code {pod.exit_code}" if pod.exit_code is not None else "no exit code")
        return End(ErrorClass.CRASHED, pod.reason or "Crashed", f"The pod was ended from outside ({why}).")
    error = _BY_EXIT_CODE.get(pod.exit_code, ErrorClass.INTERNAL)
    if error is ErrorClass.CANCELLED:
        # It was told that it is fenced, yet its row is open: another try finds out.
        error = ErrorClass.INTERNAL
    text = f"The runner ended with exit code {pod.exit_code} without a word."
    if error is ErrorClass.ML_UNAVAILABLE and pod.oom is not None:
        return End(error, "OOMKilled", f"{_out_of_memory(pod.oom)} {text}")
    return End(error, f"ExitCode{pod.exit_code}", text)


def _pending(
    attempt: AttemptSnapshot, pods: list[PodSeen], clocks: Clocks, now: datetime, refused: Diagnosis | None
) -> Judgement:
    """The Job is there, and its runner has not called."""
    age = _age(attempt.created_at, now)
    if age < LOOK_AT_PODS:
        return Judgement(look_in=LOOK_AT_PODS - age)
    pod = newest(pods)
    if pod is None:
        waits = refused or Diagnosis("NoPod", "The cluster has not made the pod yet.")
    elif pod.diagnosis is not None:
        waits = pod.diagnosis
    elif pod.over:
        waits = Diagnosis("Ending", "The pod has ended; its Job will say how.")
    else:
        waits = Diagnosis("NotCalling", "The pod runs, and its runner has not called yet.")
    if age >= clocks.pending:
        text = f"Not started within {_span(clocks.pending)}: {waits.message}"
        return Judgement(end=End(ErrorClass.UNSCHEDULABLE, waits.reason, text, job_ended=False))
    if waits.hopeless and age >= clocks.hopeless:
        error = ErrorClass.CLUSTER_REJECTED if waits.refused else ErrorClass.UNSCHEDULABLE
        return Judgement(end=End(error, waits.reason, waits.message, job_ended=False))
    limit = clocks.hopeless if waits.hopeless else clocks.pending
    return Judgement(waits=waits, look_in=max(1.0, min(30.0, limit - age)))


def _running(attempt: AttemptSnapshot, pods: list[PodSeen], clocks: Clocks, now: datetime) -> Judgement:
    """The runner has called, and has not ended."""
    started = attempt.started_at or attempt.created_at
    left = attempt.running_deadline + AFTER_DEADLINE - _age(started, now)
    if left <= 0:
        return Judgement(end=End(ErrorClass.DEADLINE, "DeadlineExceeded", _late(attempt), job_ended=False))
    silent = _silent_for(attempt, now)
    if silent < clocks.silence:
        return Judgement(look_in=max(1.0, min(left, clocks.silence - silent)))
    # A replaced pod is young; one that is over has a Job that will say so; one that runs and is ready may only be
    # cut off from the door, and is waited for.
    for pod in pods:
        if (pod.phase == "Running" and pod.ready) or pod.over or _age(pod.created_at, now) < clocks.silence:
            return Judgement(look_in=max(1.0, min(left, clocks.silence / 2)))
    last = newest(pods)
    where = f"its pod on {last.node} is {last.phase} and not ready" if last is not None else "it has no pod"
    text = f"Nothing was heard from the runner for {_span(silent)}, and {where}."
    return Judgement(end=End(ErrorClass.CRASHED, "Silent", text, job_ended=False))


def _lost_its_model(attempt: AttemptSnapshot) -> bool:
    """Whether the runner said that its model went away: in a pod of its own it may have run out of memory."""
    return attempt.state is AttemptState.FAILED and attempt.error_class is ErrorClass.ML_UNAVAILABLE


def _out_of_memory(container: str) -> str:
    return f"Container {container} used more memory than its limit."


def _silent_for(attempt: AttemptSnapshot, now: datetime) -> float:
    return _age(attempt.seen_at or attempt.started_at or attempt.created_at, now)


def _age(moment: datetime, now: datetime) -> float:
    return (now - moment).total_seconds()


def _late(attempt: AttemptSnapshot) -> str:
    return f"No result within {_span(attempt.running_deadline)} of the start."


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
