"""What is done about one attempt: a table of what the rows say, what was seen, and what follows."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drishtiksha.database.snapshot import AttemptSnapshot
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.status import AttemptState
from drishtiksha_operator.decide import EXIT_GRACE, Clocks, End, judge, needs_pods, retry_delay
from drishtiksha_operator.seen import Diagnosis, JobSeen, PodSeen

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
CLOCKS = Clocks(pending=21600, hopeless=600, silence=120)
UID, OWNER = "job-uid", "owner-uid"

CREATED = AttemptSnapshot(
    id=uuid.UUID(int=1), number=1, state=AttemptState.CREATED, job_name="j", job_uid=UID, error_class=None, reason=None,
    message=None, node=None, running_deadline=1800.0, created_at=NOW - timedelta(seconds=10), seen_at=None,
    started_at=None, finished_at=None, job_ended_at=None,
)  # fmt: skip
JOB = JobSeen("j", UID, OWNER, complete=False, failed=False, reason=None, message=None, deleting=False)
COMPLETE = replace(JOB, complete=True)
FAILED = replace(JOB, failed=True, reason="BackoffLimitExceeded", message="Job has reached the backoff limit")
POD = PodSeen("p", "j", "Running", True, "gpu-0", NOW - timedelta(hours=1), None, None, False, None, False, None, None)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def started(silent: float = 1.0, age: float = 60.0) -> AttemptSnapshot:
    return replace(
        CREATED, state=AttemptState.STARTED, started_at=ago(age), seen_at=ago(silent), created_at=ago(age + 5)
    )


def ended(state: AttemptState) -> AttemptSnapshot:
    return replace(started(), state=state, finished_at=NOW)


def pod(**more: Any) -> PodSeen:
    return replace(POD, **more)


def over(code: int | None, **more: Any) -> PodSeen:
    return pod(phase="Failed", ready=False, exit_code=code, signal=code is not None and code > 128, **more)


def say(attempt: AttemptSnapshot, job: JobSeen | None, *pods: PodSeen, **more: Any) -> Any:
    return judge(attempt, job, pods, CLOCKS, NOW, owner_uid=OWNER, **more)


def end_of(attempt: AttemptSnapshot, job: JobSeen | None, *pods: PodSeen, **more: Any) -> End:
    found = say(attempt, job, *pods, **more).end
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("seen", "error", "reason"),
    [
        (over(65), ErrorClass.BAD_MEDIA, "ExitCode65"),
        (over(69), ErrorClass.ML_UNAVAILABLE, "ExitCode69"),
        (over(70), ErrorClass.INTERNAL, "ExitCode70"),
        (over(76), ErrorClass.ML_CONTRACT, "ExitCode76"),
        (over(77), ErrorClass.INTERNAL, "ExitCode77"),
        (over(1), ErrorClass.INTERNAL, "ExitCode1"),
        (over(0), ErrorClass.INTERNAL, "ExitCode0"),
        (over(137), ErrorClass.CRASHED, "Crashed"),
        (over(143), ErrorClass.CRASHED, "Crashed"),
        (over(None), ErrorClass.CRASHED, "Crashed"),
        (over(137, oom="runner"), ErrorClass.CRASHED, "OOMKilled"),
        (over(137, reason="Evicted"), ErrorClass.CRASHED, "Evicted"),
        (over(137, reason="DeadlineExceeded"), ErrorClass.DEADLINE, "DeadlineExceeded"),
    ],
)
def test_a_failed_job_without_a_word_is_classed_by_how_its_pod_ended(
    seen: PodSeen, error: ErrorClass, reason: str
) -> None:
    found = end_of(started(), FAILED, seen)
    assert (found.error_class, found.reason, found.job_ended) == (error, reason, True)


def test_a_model_that_ran_out_of_memory_is_not_hidden_by_the_runners_own_exit_code() -> None:
    found = end_of(started(), FAILED, over(69, oom="model"))
    assert (found.error_class, found.reason) == (ErrorClass.ML_UNAVAILABLE, "OOMKilled")
    assert "Container model used more memory" in found.message


def test_a_model_that_ran_out_of_memory_is_not_hidden_by_the_runners_own_word() -> None:
    said = replace(ended(AttemptState.FAILED), error_class=ErrorClass.ML_UNAVAILABLE, node="gpu-0")
    assert needs_pods(said, FAILED, CLOCKS, NOW)
    assert not needs_pods(said, JOB, CLOCKS, NOW)
    found = end_of(said, FAILED, over(69, oom="model"))
    assert (found.error_class, found.reason) == (None, "OOMKilled")
    assert found.cause == "Container model used more memory than its limit."
    other = replace(said, error_class=ErrorClass.BAD_MEDIA)
    assert not needs_pods(other, FAILED, CLOCKS, NOW)
    assert end_of(other, FAILED, over(65, oom="model")).cause is None


def test_a_failed_job_whose_pod_is_gone_is_a_crash() -> None:
    assert end_of(started(), FAILED).error_class is ErrorClass.CRASHED


def test_a_completed_job_without_a_result_is_internal_and_with_one_is_fine() -> None:
    assert end_of(started(), COMPLETE).error_class is ErrorClass.INTERNAL
    assert end_of(ended(AttemptState.SUCCEEDED), COMPLETE).error_class is None


def test_a_failed_job_after_the_result_is_only_noted() -> None:
    assert end_of(ended(AttemptState.SUCCEEDED), FAILED, over(143)).error_class is None


@pytest.mark.parametrize("condition", ["SuccessCriteriaMet", "FailureTarget"])
def test_neither_counters_nor_early_conditions_are_the_end(condition: str) -> None:
    assert say(started(), replace(JOB, reason=condition)).end is None


def test_a_job_that_is_gone_though_its_uid_was_written_down_is_a_crash() -> None:
    assert (end_of(started(), None).error_class, end_of(started(), None).reason) == (ErrorClass.CRASHED, "JobGone")
    assert end_of(started(), replace(JOB, uid="another")).reason == "JobGone"


def test_an_attempt_that_started_and_whose_job_is_gone_is_a_crash_even_if_the_job_was_never_written_down() -> None:
    found = end_of(replace(started(), job_uid=None), None)
    assert (found.error_class, found.reason) == (ErrorClass.CRASHED, "JobGone")


def test_an_attempt_without_a_job_waits_for_one_until_the_pending_deadline() -> None:
    unborn = replace(CREATED, job_uid=None)
    assert say(unborn, None).end is None
    late = replace(unborn, created_at=ago(21601))
    assert end_of(late, None).error_class is ErrorClass.UNSCHEDULABLE


def test_a_job_that_was_made_and_not_written_down_is_recognised_by_its_owner() -> None:
    unborn = replace(CREATED, job_uid=None)
    assert say(unborn, JOB).note_uid == UID
    assert say(CREATED, JOB).note_uid is None


def test_a_job_of_another_owner_is_waited_out_and_refused_at_the_pending_deadline() -> None:
    unborn, foreign = replace(CREATED, job_uid=None), replace(JOB, owner_uid="somebody")
    found = say(unborn, foreign)
    assert (found.end, found.delete, found.note_uid) == (None, False, None)
    late = end_of(replace(unborn, created_at=ago(21601)), foreign)
    assert late.error_class is ErrorClass.CLUSTER_REJECTED


def test_what_is_fenced_is_deleted_at_once_and_only_once() -> None:
    assert say(ended(AttemptState.FENCED), JOB).delete
    assert not say(ended(AttemptState.FENCED), replace(JOB, deleting=True)).delete


def test_a_runner_that_reported_its_failure_may_exit_by_itself_before_its_job_is_deleted() -> None:
    failed = ended(AttemptState.FAILED)
    assert not say(failed, JOB).delete
    assert say(replace(failed, finished_at=ago(EXIT_GRACE)), JOB).delete


def test_a_pod_that_has_handed_in_may_end_in_its_own_time() -> None:
    assert not say(ended(AttemptState.SUCCEEDED), JOB).delete


UNSCHEDULABLE = Diagnosis("Unschedulable", "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")
PULL = Diagnosis("ImagePullBackOff", "Container runner: no such image", hopeless=True)
REFUSED = Diagnosis("NoPod", "exceeded quota", hopeless=True, refused=True)


@pytest.mark.parametrize(
    ("age", "diagnosis", "refused", "error"),
    [
        (31, UNSCHEDULABLE, None, None),
        (20000, UNSCHEDULABLE, None, None),
        (21601, UNSCHEDULABLE, None, ErrorClass.UNSCHEDULABLE),
        (31, PULL, None, None),
        (601, PULL, None, ErrorClass.UNSCHEDULABLE),
        (599, None, REFUSED, None),
        (601, None, REFUSED, ErrorClass.CLUSTER_REJECTED),
    ],
)
def test_what_may_heal_waits_long_and_what_cannot_waits_ten_minutes(
    age: float, diagnosis: Diagnosis | None, refused: Diagnosis | None, error: ErrorClass | None
) -> None:
    pods = [pod(phase="Pending", ready=False, diagnosis=diagnosis)] if diagnosis else []
    found = say(replace(CREATED, created_at=ago(age)), JOB, *pods, refused=refused)
    if error is None:
        assert found.end is None
        assert found.waits == (diagnosis or refused)
    else:
        assert (found.end.error_class, found.end.job_ended, found.delete) == (error, False, True)


def test_the_first_half_minute_needs_no_look_at_pods() -> None:
    assert not needs_pods(CREATED, JOB, CLOCKS, NOW)
    assert say(CREATED, JOB).look_in == pytest.approx(20)
    assert needs_pods(replace(CREATED, created_at=ago(30)), JOB, CLOCKS, NOW)


def test_pods_are_looked_at_for_a_node_that_is_not_known_and_after_silence_only() -> None:
    known = replace(started(), node="cpu-0")
    assert needs_pods(started(), JOB, CLOCKS, NOW)
    assert not needs_pods(known, JOB, CLOCKS, NOW)
    assert needs_pods(replace(started(silent=121, age=200), node="cpu-0"), JOB, CLOCKS, NOW)
    assert not needs_pods(replace(known, job_ended_at=NOW), JOB, CLOCKS, NOW)
    assert not needs_pods(known, None, CLOCKS, NOW)


@pytest.mark.parametrize(
    ("pods", "crashed"),
    [
        ([POD], False),
        ([pod(ready=False)], True),
        ([pod(phase="Pending", ready=False)], True),
        ([pod(phase="Pending", ready=False, created_at=ago(20))], False),
        ([pod(ready=False), pod(name="q")], False),
        ([over(1)], False),
        ([], True),
    ],
)
def test_a_silent_runner_is_looked_at_and_crashed_only_when_its_pod_is_not_ready(
    pods: list[PodSeen], crashed: bool
) -> None:
    found = say(replace(started(silent=130, age=300), node="n"), JOB, *pods)
    assert (found.end is not None) is crashed
    if crashed:
        assert (found.end.error_class, found.end.job_ended, found.delete) == (ErrorClass.CRASHED, False, True)


def test_the_running_deadline_fences_even_a_ready_pod_but_not_before_its_last_call_may_have_come() -> None:
    assert say(started(age=1810), JOB, POD).end is None
    found = end_of(started(age=1821), JOB, POD)
    assert (found.error_class, found.job_ended) == (ErrorClass.DEADLINE, False)


def test_a_runner_that_gave_up_at_its_deadline_is_late_and_not_broken() -> None:
    assert end_of(started(age=1801), FAILED, over(70)).error_class is ErrorClass.DEADLINE


@given(st.integers(1, 10), st.floats(0.8, 1.2))
def test_the_pause_before_the_next_attempt_grows(attempt: int, jitter: float) -> None:
    assert retry_delay(attempt + 1, jitter) == pytest.approx(2 * retry_delay(attempt, jitter))
    assert retry_delay(1, jitter) >= 4


@given(
    st.sampled_from(list(AttemptState)),
    st.sampled_from([None, JOB, COMPLETE, FAILED, replace(JOB, deleting=True)]),
    st.lists(st.sampled_from([POD, pod(ready=False), over(1), over(None)]), max_size=2),
    st.floats(0, 30000),
    st.floats(0, 30000),
)
def test_whatever_is_seen_there_is_an_end_or_another_look(
    state: AttemptState, job: JobSeen | None, pods: list[PodSeen], age: float, silent: float
) -> None:
    begun = state is not AttemptState.CREATED
    attempt = replace(
        CREATED, state=state, created_at=ago(age + 1), started_at=ago(age) if begun else None,
        seen_at=ago(min(age, silent)) if begun else None,
    )  # fmt: skip
    found = say(attempt, job, *pods)
    assert (found.end is not None) or (found.look_in is not None and found.look_in > 0)
    if job is not None and job.ended:
        assert found.end is not None
        assert found.end.job_ended
