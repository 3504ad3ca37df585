"""Following outlives an absent API, and ends at once when it makes no sense any more."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from cli_samples import ID, analysis, media

from drishtiksha_cli import live, watching
from drishtiksha_cli.client import Client
from drishtiksha_cli.errors import Refused, Unreachable
from drishtiksha_cli.live import Board, follow

pytestmark = pytest.mark.timeout(60)

END = media("ANALYZED", analysis())


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nobody listens: Socket.IO never comes up."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def make(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Client]:
    monkeypatch.setattr(live, "ASK_ALONE", 0.01)

    def build(*answers: Any) -> Client:
        left = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))

        def answer(_: httpx.Request) -> httpx.Response:
            one = next(left)
            if isinstance(one, Exception):
                raise one
            if isinstance(one, int):
                return httpx.Response(one, json={"code": "NOT_FOUND", "message": "No.", "success": False})
            return httpx.Response(200, json={"data": one})

        return Client(nowhere, "t", httpx.MockTransport(answer))

    return build


def test_rest_alone_brings_it_to_the_end(make: Callable[..., Client]) -> None:
    board = Board([media("QUEUED")])
    seen: list[str] = []
    running = media("PROCESSING", analysis(status="PROCESSING"))
    with make(media("QUEUED"), running, END) as client:
        follow(client, board, lambda: seen.append(board.lines[ID].status), tick=0.01)
    assert list(dict.fromkeys(seen)) == ["QUEUED", "PROCESSING", "ANALYZED"]
    assert board.lines[ID].final == END


@pytest.mark.parametrize("fault", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), 503, 500, 429])
def test_an_api_that_goes_away_and_comes_back_is_waited_for_and_said(make: Callable[..., Client], fault: Any) -> None:
    board = Board([media("QUEUED")])
    away: list[bool] = []
    with make(media("QUEUED"), fault, fault, END) as client:
        follow(client, board, lambda: away.append(bool(board.away)), tick=0.01)
    assert [k for k, _ in itertools.groupby(away)] == [False, True, False]


def test_an_api_that_stays_away_is_given_up_after_a_time(
    make: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "GIVE_UP", 0.2)
    with make(httpx.ConnectError("refused")) as client, pytest.raises(Unreachable, match="no answer for"):
        follow(client, Board([media("QUEUED")]), lambda: None, tick=0.01)


@pytest.mark.parametrize("status", [401, 404])
def test_a_login_that_ends_and_a_media_that_is_deleted_end_it_and_say_how_to_look_again(
    make: Callable[..., Client], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with make(media("QUEUED"), status) as client, pytest.raises(Refused) as caught:
        watching.observe(client, [media("QUEUED")])
    assert caught.value.status == status
    assert f"drishtiksha watch {ID}" in capsys.readouterr().err


def test_nothing_of_it_is_left_running(make: Callable[..., Client]) -> None:
    before = set(threading.enumerate())
    with make(END) as client:
        follow(client, Board([media("QUEUED")]), lambda: None, tick=0.01)
    left = [thread for thread in threading.enumerate() if thread not in before]
    assert all(thread.daemon for thread in left)
    assert len(left) <= 2


def test_many_are_followed_together_in_the_order_of_the_upload(make: Callable[..., Client]) -> None:
    ids = [f"{n:08}-0000-7000-8000-000000000000" for n in range(5)]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": media("ANALYZED", id=request.url.path.rsplit("/", 1)[1])})

    with Client("http://127.0.0.1:1", "t", httpx.MockTransport(answer)) as client:
        ended = watching.observe(client, [media("QUEUED", id=i) for i in ids], quiet=True)
    assert [m["id"] for m in ended] == ids
