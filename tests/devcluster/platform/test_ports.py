"""A port is handed out once on a machine, as long as who got it lives."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from drishtiksha_devcluster import ports
from drishtiksha_devcluster.ports import free_port

ASK = "import sys; from drishtiksha_devcluster.ports import free_port; print(free_port(wish=int(sys.argv[1])), flush=True)"


def other_process(wish: int) -> subprocess.Popen[str]:
    """Asks for this port, says what it got, and lives until its standard input ends."""
    command = [sys.executable, "-c", f"{ASK}; sys.stdin.read()", str(wish)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(of: subprocess.Popen[str]) -> int:
    assert of.stdout is not None
    return int(of.stdout.readline())


def test_what_one_process_got_no_other_gets_until_it_ends() -> None:
    ours = free_port()
    with other_process(ours) as first:
        theirs = answer(first)
        assert theirs != ours, "ours, though nobody listens on it yet"
        with other_process(theirs) as second:
            assert answer(second) not in (ours, theirs)
            second.communicate()
        first.communicate()
    with other_process(theirs) as third:
        assert answer(third) == theirs, "its owner has ended"
        third.communicate()


def test_a_port_that_somebody_listens_on_is_not_handed_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(wish=port) != port


def test_without_a_place_for_the_claims_ports_are_handed_out_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.tempfile, "gettempdir", lambda: "/nonexistent")
    ports._claims.cache_clear()
    got = {free_port() for _ in range(20)}
    ports._claims.cache_clear()
    assert len(got) == 20
