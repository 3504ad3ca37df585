"""The board says the same whatever the order in which it is told, and takes nothing back."""

from __future__ import annotations

import copy
from typing import Any

from cli_samples import ID, RUN, analysis, media, verdict
from hypothesis import given
from hypothesis import strategies as st

from drishtiksha_cli.live import Board

OTHER = "01a20393-0000-7000-8000-000000000000"


def event(name: str, seq: int | None, model: str | None = None, **data: Any) -> dict[str, Any]:
    said = {**data, **({"modelName": model, "model_name": model} if model else {})}
    return {"seq": seq, "mediaId": ID, "runId": RUN, "event": name, "message": "…", "data": said}


STORY = [
    event("RUN_QUEUED", 11),
    event("ANALYSIS_QUEUED", 12, "ONE-V1", progress=0, total=100),
    event("ANALYSIS_QUEUED", 13, "TWO-V1", progress=0, total=100),
    event("PROCESSING_STARTED", 14),
    event("ANALYSIS_STARTED", 15, "ONE-V1"),
    event("ANALYSIS_STARTED", 16, "TWO-V1"),
    event("FRAME_ANALYSIS_PROGRESS", None, "ONE-V1", progress=50, total=240),
    event("ANALYSIS_RETRYING", 17, "TWO-V1", error="gone", errorClass="CRASHED"),
    event("ANALYSIS_COMPLETED", 18, "ONE-V1", prediction="FAKE", progress=100),
    event("ANALYSIS_STARTED", 19, "TWO-V1"),
    event("ANALYSIS_FAILED", 20, "TWO-V1", error="gone again", errorClass="CRASHED"),
    event("RUN_COMPLETED", 21, status="PARTIALLY_ANALYZED"),
]
END = media(
    "PARTIALLY_ANALYZED",
    analysis("ONE-V1", prediction="FAKE", basis="CLAIMED", score=0.9),
    analysis("TWO-V1", "FAILED", errorClass="CRASHED", attempt=2),
    verdict=verdict("FAKE", "CLAIMED", 0.9, "ONE-V1"),
)
BEFORE = [
    media("QUEUED"),
    media("QUEUED", analysis("ONE-V1", "PENDING", attempt=0), analysis("TWO-V1", "PENDING", attempt=0)),
    media("PROCESSING", analysis("ONE-V1", "PROCESSING"), analysis("TWO-V1", "PENDING", attempt=0)),
    media("PROCESSING", analysis("ONE-V1", prediction="FAKE"), analysis("TWO-V1", "PROCESSING", attempt=2)),
]


def new_board() -> Board:
    return Board([media("QUEUED")])


def states(board: Board) -> dict[str, tuple[str, str]]:
    return {m.name: (m.state, m.said) for m in board.lines[ID].models.values()}


def test_the_story_in_its_order_is_told_step_by_step() -> None:
    board = new_board()
    seen = []
    for one in STORY:
        board.hear(one)
        line = board.lines[ID]
        seen.append((line.status[0], *(f"{m.state[:4]}{m.progress or ''}" for m in line.models.values())))
    assert seen == [
        ("Q",),
        ("Q", "PEND"),
        ("Q", "PEND", "PEND"),
        ("P", "PEND", "PEND"),
        ("P", "PROC", "PEND"),
        ("P", "PROC", "PROC"),
        ("P", "PROC50", "PROC"),
        ("P", "PROC50", "RETR"),
        ("P", "COMP", "RETR"),
        ("P", "COMP", "PROC"),
        ("P", "COMP", "FAIL"),
        ("P", "COMP", "FAIL"),
    ]
    assert board.lines[ID].status == "PARTIALLY_ANALYZED"
    assert states(board) == {"ONE-V1": ("COMPLETED", "FAKE"), "TWO-V1": ("FAILED", "CRASHED")}
    assert board.last_seq == 21
    assert not board.done, "only the full object ends it: it is what is shown"


@given(st.lists(st.sampled_from(STORY), max_size=20), st.permutations(STORY))
def test_events_in_any_order_and_repeated_end_at_the_same_states(
    repeated: list[dict[str, Any]], shuffled: list[dict[str, Any]]
) -> None:
    board = new_board()
    for one in [*repeated, *shuffled]:
        board.hear(one)
    assert states(board) == {"ONE-V1": ("COMPLETED", "FAKE"), "TWO-V1": ("FAILED", "CRASHED")}
    assert board.lines[ID].status == "PARTIALLY_ANALYZED"
    assert board.last_seq == 21


@given(st.lists(st.one_of(st.sampled_from(STORY), st.sampled_from([*BEFORE, END])), max_size=30))
def test_socket_and_rest_mixed_in_any_way_never_step_back_and_end_with_the_full_object(
    mixed: list[dict[str, Any]],
) -> None:
    board = new_board()
    rank = {"PENDING": 0, "PROCESSING": 1, "RETRYING": 1, "COMPLETED": 2, "FAILED": 2}
    for one in mixed:
        line = copy.deepcopy(board.lines[ID])
        board.hear(one) if "event" in one else board.read(one)
        now = board.lines[ID]
        assert all(rank[now.models[name].state] >= rank[model.state] for name, model in line.models.items())
        assert ["QUEUED", "PROCESSING", "PARTIALLY_ANALYZED"].index(now.status) >= [
            "QUEUED", "PROCESSING", "PARTIALLY_ANALYZED"
        ].index(line.status)  # fmt: skip
        assert board.done == (END in mixed[: mixed.index(one) + 1]) or line.final is not None
    board.read(END)
    assert board.done
    assert board.lines[ID].final == END
    assert states(board) == {"ONE-V1": ("COMPLETED", "FAKE"), "TWO-V1": ("FAILED", "CRASHED")}


def test_a_start_that_is_heard_again_does_not_undo_what_came_after_it() -> None:
    board = new_board()
    for seq in (16, 17, 16):
        board.hear(next(one for one in STORY if one["seq"] == seq))
    assert states(board) == {"TWO-V1": ("RETRYING", "CRASHED")}


def test_what_is_said_of_others_and_of_older_runs_is_not_ours_but_counts_as_heard() -> None:
    board = new_board()
    assert board.hear({**STORY[4], "mediaId": OTHER, "seq": 40}) is None
    assert board.hear({**STORY[4], "runId": OTHER, "seq": 41}) is None
    assert board.lines[ID].models == {}
    assert board.last_seq == 41


def test_a_rerun_that_begins_meanwhile_is_followed_and_its_predecessor_is_over() -> None:
    board = new_board()
    for one in STORY[:6]:
        board.hear(one)
    board.read(media("QUEUED", latestRunId=OTHER, run_number=2))
    assert (board.lines[ID].run_id, board.lines[ID].status, states(board)) == (OTHER, "QUEUED", {})
    board.read(END)
    assert not board.done, "an answer that is older than the rerun"
    board.read({**media("ANALYZED", latestRunId=OTHER, run_number=2)})
    assert board.done


def test_a_second_attempt_is_seen_by_rest_alone() -> None:
    board = new_board()
    board.read(media("PROCESSING", analysis("ONE-V1", "PROCESSING", attempt=1)))
    board.hear(event("ANALYSIS_RETRYING", 5, "ONE-V1"))
    board.read(media("PROCESSING", analysis("ONE-V1", "PROCESSING", attempt=1)))
    assert states(board)["ONE-V1"][0] == "RETRYING"
    board.read(media("PROCESSING", analysis("ONE-V1", "PROCESSING", attempt=2)))
    assert states(board)["ONE-V1"][0] == "PROCESSING"


def test_the_ml_services_own_words_move_no_state() -> None:
    board = new_board()
    board.hear(STORY[4])
    board.hear(event("AUDIO_EXTRACTION_START", None, "ONE-V1", progress="half"))
    board.hear(event("FACE_FOUND", None))
    assert states(board) == {"ONE-V1": ("PROCESSING", "")}
