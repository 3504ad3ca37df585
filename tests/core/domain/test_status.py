"""The status of a run, over all combinations; held against the SQL function in tests/core/database."""

from __future__ import annotations

from itertools import combinations_with_replacement, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.status import (
    ANALYSIS_CHANGES,
    RUN_CHANGES,
    TERMINAL_ANALYSIS,
    TERMINAL_RUN,
    AnalysisStatus,
    RunStatus,
    run_reason,
    run_status,
)

P, R, C, F = AnalysisStatus


@pytest.mark.parametrize("models", range(9))
def test_every_combination_up_to_eight_models(models: int) -> None:
    for seen in combinations_with_replacement(AnalysisStatus, models):
        said = run_status(True, seen)
        assert run_status(False, seen) is RunStatus.QUEUED
        if set(seen) <= {F}:
            assert said is RunStatus.FAILED
        elif set(seen) == {C}:
            assert said is RunStatus.ANALYZED
        elif set(seen) == {C, F}:
            assert said is RunStatus.PARTIALLY_ANALYZED
        elif set(seen) == {P}:
            assert said is RunStatus.QUEUED
        else:
            assert said is RunStatus.PROCESSING
        assert (said in TERMINAL_RUN) == (set(seen) <= TERMINAL_ANALYSIS)


def test_no_models_is_never_analyzed() -> None:
    assert run_status(True, []) is RunStatus.FAILED


@pytest.mark.parametrize("seen", list(combinations_with_replacement(AnalysisStatus, 3)))
def test_the_order_of_the_analyses_does_not_matter(seen: tuple[AnalysisStatus, ...]) -> None:
    assert {run_status(True, order) for order in permutations(seen)} == {run_status(True, seen)}


def test_legal_changes_of_analyses_never_take_a_run_backwards() -> None:
    for before in product(AnalysisStatus, repeat=3):
        for index in range(3):
            for becomes in ANALYSIS_CHANGES[before[index]]:
                after = (*before[:index], becomes, *before[index + 1 :])
                was, now = run_status(True, before), run_status(True, after)
                reachable = {was} | RUN_CHANGES[was] | {y for x in RUN_CHANGES[was] for y in RUN_CHANGES[x]}
                assert now in reachable, f"{before} → {after}"


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(AnalysisStatus)), max_size=40), st.randoms())
def test_repeated_and_reordered_ends_change_nothing(changes, shuffle) -> None:
    """Terminal latches: whichever end of an analysis comes first wins, all later ones are absorbed."""

    def play(sequence) -> list[AnalysisStatus]:
        state = [P] * 4
        for index, wanted in sequence:
            if wanted in ANALYSIS_CHANGES[state[index]] or (state[index] is P and wanted is C):
                state[index] = wanted
        return state

    once = play(changes)
    assert play([*changes, *changes]) == once
    ended = [(i, s) for i, s in enumerate(once) if s in TERMINAL_ANALYSIS]
    shuffle.shuffle(ended)
    assert run_status(True, play([*ended, *ended, *changes])) in (
        {run_status(True, once)} if all(s in TERMINAL_ANALYSIS for s in once) else set(RunStatus)
    )


@pytest.mark.parametrize(
    ("status", "cancelled", "classes", "reason"),
    [
        (RunStatus.ANALYZED, False, [], None),
        (RunStatus.ANALYZED, True, [], None),
        (RunStatus.PARTIALLY_ANALYZED, False, ["CRASHED"], None),
        (RunStatus.PARTIALLY_ANALYZED, True, ["CANCELLED"], "CANCELLED"),
        (RunStatus.FAILED, True, ["CANCELLED"], "CANCELLED"),
        (RunStatus.FAILED, False, ["BAD_MEDIA", "BAD_MEDIA"], "BAD_MEDIA"),
        (RunStatus.FAILED, False, ["BAD_MEDIA", "CRASHED"], "MODELS_FAILED"),
        (RunStatus.FAILED, False, [], "MODELS_FAILED"),
    ],
)
def test_a_failed_or_cancelled_run_says_why(status, cancelled, classes, reason) -> None:
    assert run_reason(status, cancelled, [ErrorClass(c) for c in classes]) == reason
