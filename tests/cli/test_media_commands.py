"""rerun, cancel, delete, models: what is sent, what is said, and which exit code."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cli_samples import ID, analysis, media

OTHER = "01a20393-0000-712b-8ac1-8a9e374d139d"
QUEUED = media("QUEUED", run_number=2)


class Terminal(io.StringIO):
    """A person who types."""

    def isatty(self) -> bool:
        return True


def bodies(api: Any, what: str) -> list[Any]:
    return [json.loads(body) for asked, _, body in api.asked if asked == what]


def test_rerun_queues_one_more_run_of_the_models_that_were_named(
    logged_in: Any, drishtiksha: Callable[..., Any]
) -> None:
    logged_in.answers[f"POST /media/{ID}/analyze"] = [(202, QUEUED)]
    code, out, err = drishtiksha("rerun", ID)
    assert (code, err) == (0, "")
    assert out == f"{ID}  clip.mp4: run 2 is queued. Follow it: drishtiksha watch {ID}\n"
    drishtiksha("rerun", ID, "--model", "ONE-V1", "--model", "TWO-V1", "--reason", "a new model")
    assert json.loads(drishtiksha("rerun", ID, "--json")[1]) == QUEUED
    assert bodies(logged_in, f"POST /media/{ID}/analyze") == [
        {}, {"models": ["ONE-V1", "TWO-V1"], "reason": "a new model"}, {}
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "code"), [("ANALYZED", 0), ("FAILED", 1)])
def test_rerun_may_stay_until_the_end_and_says_how_it_ended(
    logged_in: Any, drishtiksha: Callable[..., Any], status: str, code: int
) -> None:
    ended = media(status, analysis(), run_number=2)
    logged_in.answers[f"POST /media/{ID}/analyze"] = [(202, QUEUED)]
    logged_in.answers[f"GET /media/{ID}"] = [(200, ended)]
    got, out, _ = drishtiksha("rerun", ID, "--watch", "--json")
    assert (got, json.loads(out)) == (code, [ended])


def test_a_run_that_is_active_already_is_exit_5_with_what_to_do(
    logged_in: Any, drishtiksha: Callable[..., Any]
) -> None:
    refused = {"code": "RUN_ACTIVE", "message": "Run 1 is active."}
    logged_in.answers[f"POST /media/{ID}/analyze"] = [(409, refused)]
    code, out, err = drishtiksha("rerun", ID)
    assert (code, out) == (5, "")
    assert err.startswith("drishtiksha: Run 1 is active. Follow it: drishtiksha watch")
    assert len(logged_in.asked) == 1, "a write is never repeated"


def test_cancel_asks_for_the_end_of_the_run(logged_in: Any, drishtiksha: Callable[..., Any]) -> None:
    logged_in.answers[f"POST /media/{ID}/cancel"] = [(202, media("PROCESSING"))]
    assert drishtiksha("cancel", ID) == (0, f"{ID}  clip.mp4: the run is being cancelled.\n", "")
    assert json.loads(drishtiksha("cancel", ID, "--json")[1])["id"] == ID
    logged_in.answers[f"POST /media/{ID}/cancel"] = [(409, {"code": "NOT_ACTIVE", "message": "Nothing is running."})]
    code, _, err = drishtiksha("cancel", ID)
    assert (code, err) == (5, "drishtiksha: Nothing is running. For a new run: drishtiksha rerun ID\n")


def test_delete_without_a_terminal_does_not_ask_and_one_that_is_not_there_keeps_no_other_back(
    logged_in: Any, drishtiksha: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    logged_in.answers[f"DELETE /media/{OTHER}"] = [(200, {})]
    code, out, err = drishtiksha("delete", ID, OTHER)
    assert (code, out) == (5, f"{OTHER}  deleted\n")
    assert err.startswith(f"{ID}: Media not found.")
    code, out, err = drishtiksha("delete", ID, OTHER, "--json")
    assert (code, err) == (5, "")
    assert [(one["id"], one["deleted"]) for one in json.loads(out)] == [(ID, False), (OTHER, True)]
    assert json.loads(out)[0]["error"]["code"] == "NOT_FOUND"
    assert drishtiksha("delete", OTHER)[0] == 0


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_delete_on_a_terminal_asks_with_the_files_names(
    logged_in: Any, drishtiksha: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, answer: str, gone: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    logged_in.answers[f"GET /media/{ID}"] = [(200, media())]
    logged_in.answers[f"DELETE /media/{ID}"] = [(200, {})]
    code, out, err = drishtiksha("delete", ID)
    assert (code, out.strip()) == ((0, f"{ID}  deleted") if gone else (1, ""))
    assert f"{ID}  clip.mp4" in err
    assert (f"DELETE /media/{ID}" in [asked for asked, _, _ in logged_in.asked]) is gone
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert drishtiksha("delete", ID, "--yes")[:2] == (0, f"{ID}  deleted\n")


def test_models_tells_which_are_loaded(logged_in: Any, drishtiksha: Callable[..., Any]) -> None:
    found = [
        {"name": "ZETA-V1", "loaded": False, "isImage": True, "description": "Not loaded: no weights"},
        {"name": "ONE-V1", "loaded": True, "isVideo": True, "isMultiModal": True, "version": "1.0", "device": "cpu"},
    ]
    logged_in.answers["GET /monitoring/server-status"] = [(200, {"models_info": found, "modelsInfo": []})]
    code, out, _ = drishtiksha("models")
    assert code == 0
    head, first, second = (line.split() for line in out.splitlines())
    assert head[:3] == ["MODEL", "LOADED", "TAKES"]
    assert first[:7] == ["ONE-V1", "yes", "VIDEO,", "VIDEO", "with", "sound", "1.0"]
    assert second[:3] == ["ZETA-V1", "no", "IMAGE"]
    assert "no weights" in out
    assert json.loads(drishtiksha("models", "--json")[1]) == found
    logged_in.answers["GET /monitoring/server-status"] = [(200, {"models_info": []})]
    assert "ACTIVE_MODELS" in drishtiksha("models")[1]


def test_an_ml_service_that_is_away_is_said_at_once(logged_in: Any, drishtiksha: Callable[..., Any]) -> None:
    away = {"code": "UNAVAILABLE", "message": "The ML service does not answer."}
    logged_in.answers["GET /monitoring/server-status"] = [(503, away)]
    code, _, err = drishtiksha("models")
    assert code == 5
    assert "The ML service does not answer." in err
    assert len(logged_in.asked) == 1


@pytest.mark.parametrize("words", [["rerun", ID], ["cancel", ID], ["delete", ID], ["models"]])
def test_who_is_not_logged_in_is_told_so_before_anything_is_sent(
    api: Any, drishtiksha: Callable[..., Any], words: list[str]
) -> None:
    assert drishtiksha(*words)[:2] == (3, "")
    assert api.asked == []


def test_an_account_and_watching_speak_json_too(api: Any, drishtiksha: Callable[..., Any]) -> None:
    api.answers["POST /auth/login"] = [(200, {"token": "new-token"})]
    api.answers["POST /auth/logout"] = [(200, None)]
    api.answers["GET /media"] = [(200, [])]
    said = json.loads(drishtiksha("login", "--email", "a@b.c", "--password", "secret", "--json")[1])
    assert said["email"] == "a@b.c"
    assert said["tokenFile"].endswith(".json")
    assert drishtiksha("watch", "--json")[:2] == (0, "[]\n")
    assert json.loads(drishtiksha("logout", "--json")[1])["loggedOut"] is True
    assert json.loads(drishtiksha("logout", "--json")[1])["loggedOut"] is False
