"""The resource's status from rows, and what the sweep does about one resource."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drishtiksha.database.snapshot import AnalysisSnapshot, RunSnapshot
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.media import MediaType
from drishtiksha.domain.status import AnalysisStatus, RunStatus
from drishtiksha_operator.status import about, final_message, final_reason, status_of
from drishtiksha_operator.sweep import Verdict, judge

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
RUN = RunSnapshot(
    id=uuid.UUID(int=1), media_id=uuid.UUID(int=2), user_id=uuid.UUID(int=3), number=1, media_type=MediaType.IMAGE,
    has_audio=False, status=RunStatus.QUEUED, frozen=False, deleted=False, cancel_requested=False, reason=None,
    message=None, requested_models=None, traceparent=None, verdict=None, verdict_basis=None, verdict_score=None,
    created_at=NOW, started_at=None, finished_at=None, create_pending=False, create_rejected=None, analyses=(), now=NOW,
)  # fmt: skip


def analysis(model: str, status: AnalysisStatus, error: ErrorClass | None = None) -> AnalysisSnapshot:
    return AnalysisSnapshot(
        id=uuid.uuid4(), model=model, model_version="", source="default", execution="service", status=status, attempt=0,
        budget=3, retry_at=None, pending_reason=None, pending_message=None, prediction=None, error_class=error,
        error_message=None, started_at=None, finished_at=None, attempts=(),
    )  # fmt: skip


def conditions(run: RunSnapshot, waiting: str | None = None) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in status_of(run, waiting=waiting).conditions}


PENDING, WORKING, DONE, FAILED = AnalysisStatus
FROZEN = replace(RUN, frozen=True)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (RUN, {"ModelsDiscovered": ("False", "Waiting"), "Progressing": ("True", "Discovering")}),
        (
            replace(FROZEN, analyses=(analysis("A", PENDING),)),
            {
                "ModelsDiscovered": ("True", "Frozen"),
                "Progressing": ("True", "Waiting"),
                "Complete": ("False", "NotFinal"),
            },
        ),
        (
            replace(FROZEN, status=RunStatus.PROCESSING, analyses=(analysis("A", WORKING),)),
            {"Progressing": ("True", "Working")},
        ),
        (
            replace(FROZEN, status=RunStatus.ANALYZED, analyses=(analysis("A", DONE),)),
            {"Progressing": ("False", "Final"), "Complete": ("True", "Analyzed")},
        ),
        (
            replace(FROZEN, status=RunStatus.PARTIALLY_ANALYZED, analyses=(analysis("A", DONE),)),
            {"Complete": ("True", "PartiallyAnalyzed")},
        ),
        (
            replace(FROZEN, status=RunStatus.FAILED, reason=ErrorClass.NO_COMPATIBLE_MODEL),
            {"Complete": ("True", "Failed"), "ModelsDiscovered": ("False", "NoCompatibleModel")},
        ),
        (
            replace(FROZEN, status=RunStatus.PARTIALLY_ANALYZED, reason=ErrorClass.CANCELLED),
            {"Complete": ("True", "Cancelled")},
        ),
    ],
)
def test_conditions_follow_from_the_rows_and_complete_is_true_at_every_end(
    run: RunSnapshot, expected: dict[str, tuple[str, str]]
) -> None:
    found = conditions(run)
    assert found["Accepted"] == ("True", "RunFound")
    assert expected.items() <= found.items()


def test_why_a_run_waits_is_told_in_its_conditions() -> None:
    status = status_of(RUN, waiting="Waiting for the ML service a.")
    assert {c.message for c in status.conditions if c.type in ("ModelsDiscovered", "Progressing")} == {
        "Waiting for the ML service a."
    }


def test_the_summary_counts_what_has_ended_of_what_was_chosen() -> None:
    run = replace(
        FROZEN, analyses=(analysis("A", DONE), analysis("B", FAILED, ErrorClass.CRASHED), analysis("C", PENDING))
    )
    assert status_of(run).summary == "2/3"
    assert status_of(RUN).summary == "-"


def test_the_last_words_name_verdict_basis_and_what_failed() -> None:
    run = replace(
        FROZEN, status=RunStatus.PARTIALLY_ANALYZED, verdict="FAKE", verdict_basis="MEASURED",
        analyses=(analysis("A", DONE), analysis("B", FAILED, ErrorClass.CRASHED)),
    )  # fmt: skip
    assert final_reason(run) == "PartiallyAnalyzed"
    assert final_message(run) == "FAKE (MEASURED): 1 of 2 models answered. Failed: B (CRASHED)."


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "fewer than 10"),
        (9, "fewer than 10"),
        (10, "fewer than 30"),
        (777, "fewer than 1000"),
        (5000, "more than 3000"),
    ],
)
def test_a_long_queue_is_told_coarsely(count: int, told: str) -> None:
    assert about(count) == told


HELD = {"finalizers": ["drishtiksha.io/run"]}
OLD, FRESH = NOW - timedelta(hours=25), NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("metadata", "state", "verdict"),
    [
        (HELD, None, Verdict(look=True)),
        (HELD, (RunStatus.QUEUED, None, False), Verdict(look=True)),
        ({}, (RunStatus.PROCESSING, None, False), Verdict(look=True)),
        (HELD, (RunStatus.ANALYZED, OLD, False), Verdict(look=True)),
        ({}, (RunStatus.ANALYZED, FRESH, False), Verdict()),
        ({}, (RunStatus.FAILED, OLD, False), Verdict(delete=True)),
        ({"deletionTimestamp": "x"}, (RunStatus.FAILED, OLD, False), Verdict()),
        (HELD, (RunStatus.ANALYZED, OLD, True), Verdict(look=True)),
        ({}, (RunStatus.ANALYZED, OLD, True), Verdict()),
    ],
)
def test_the_sweep_looks_at_what_is_open_and_deletes_what_is_old(
    metadata: dict[str, object], state: tuple[RunStatus, datetime | None, bool] | None, verdict: Verdict
) -> None:
    assert judge(dict(metadata), state, NOW, ttl=86400) == verdict


def test_a_model_that_has_not_started_says_why_in_the_rows_words() -> None:
    waiting = replace(analysis("A", PENDING), pending_reason="ImagePullBackOff", pending_message="Back-off pulling it")
    (shown,) = status_of(replace(FROZEN, analyses=(waiting,))).models
    assert (shown.reason, shown.message) == ("ImagePullBackOff", "Back-off pulling it")
    (shown,) = status_of(replace(FROZEN, analyses=(waiting,)), ahead={"A": 3}).models
    assert (shown.reason, shown.message) == ("WaitingForPlace", "Waiting for a free place (fewer than 10 ahead).")
