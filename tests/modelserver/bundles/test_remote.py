"""A network asked over a socket: what its process' death costs whom, and what a message may not be."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drishtiksha_models.bundles import arrays, remote
from drishtiksha_models.bundles.inputs import Input
from drishtiksha_models.bundles.manifest import BadBundle
from drishtiksha_models.bundles.remote import RemoteNetwork
from drishtiksha_models.detector import Crashed, Deadline, DeadlinePassed

HELLO = {"device": "cpu", "sizes": [None, 1], "most": 2, "memory_mb": 1.0}
Answer = Callable[[socket.socket, dict[str, Any], Any], None]
Serve = Callable[[Answer], RemoteNetwork]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A process' end of the wire, in a thread, that answers as told; leaving its connection is dying."""
    place = tmp_path / ("long" * 40) / "1.socket"
    place.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:

        def run(answer: Answer) -> RemoteNetwork:
            listener.bind(arrays.address(place))
            listener.listen()

            def one(end: socket.socket) -> None:
                with end:
                    try:
                        arrays.send(end, HELLO)
                        while True:
                            said, numbers = arrays.receive(end)
                            answer(end, said, numbers)
                    except OSError:
                        return

            def accept() -> None:
                while True:
                    try:
                        end, _ = listener.accept()
                    except OSError:
                        return
                    threading.Thread(target=one, args=(end,), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            said = Input.model_construct(layout="NS", dtype="float32")
            return RemoteNetwork(place, said)

        yield run


def samples(*values: float) -> list[Any]:
    return [np.array([value], np.float32) for value in values]


def doubled(end: socket.socket, _said: dict[str, Any], numbers: Any) -> None:
    arrays.send(end, {}, 2 * numbers.astype(np.float64))


def test_samples_are_asked_in_runs_that_fit_and_come_back_in_order(serve: Serve) -> None:
    asked = []

    def answer(end: socket.socket, said: dict[str, Any], numbers: Any) -> None:
        asked.append(len(numbers))
        doubled(end, said, numbers)

    rows = serve(answer).answers(samples(1, 2, 3, 4, 5), Deadline(20))
    assert rows.tolist() == [[2], [4], [6], [8], [10]]
    assert asked == [2, 2, 1]


def test_whoever_was_only_in_company_of_a_death_gets_an_answer(serve: Serve) -> None:
    said_before = []

    def answer(end: socket.socket, said: dict[str, Any], numbers: Any) -> None:
        said_before.append(said["alone"])
        if len(said_before) < 4:
            raise ConnectionError  # dies, and each time while it runs somebody else's
        arrays.send(end, {"begins": True})
        doubled(end, said, numbers)

    assert serve(answer).answers(samples(1), Deadline(20)).tolist() == [[2]]
    assert said_before == [False, True, True, True]


def test_whoever_kills_it_alone_is_told_so_and_the_next_file_is_answered(serve: Serve) -> None:
    asked = []

    def answer(end: socket.socket, said: dict[str, Any], numbers: Any) -> None:
        asked.append(float(numbers[0, 0]))
        if said["alone"]:
            arrays.send(end, {"begins": True})
        if numbers[0, 0] == 13:
            raise ConnectionError
        doubled(end, said, numbers)

    network = serve(answer)
    with pytest.raises(Crashed, match="ended while it examined this file"):
        network.answers(samples(13), Deadline(20))
    assert asked == [13, 13]
    assert network.answers(samples(1), Deadline(20)).tolist() == [[2]]


def test_one_that_keeps_dying_is_given_up(serve: Serve) -> None:
    asked = []

    def answer(_end: socket.socket, _said: dict[str, Any], _numbers: Any) -> None:
        asked.append(1)
        raise ConnectionError

    with pytest.raises(Crashed):
        serve(answer).answers(samples(1), Deadline(20))
    assert len(asked) == remote.ATTEMPTS


def test_silence_ends_at_the_deadline_and_late_words_are_nobody_else_s(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_GRACE", 0.0)
    held = threading.Event()

    def answer(end: socket.socket, said: dict[str, Any], numbers: Any) -> None:
        if numbers[0, 0] == 13:
            held.wait(20)
        doubled(end, said, numbers)

    network = serve(answer)
    with pytest.raises(DeadlinePassed):
        network.answers(samples(13), Deadline(0.2))
    held.set()
    assert network.answers(samples(1), Deadline(20)).tolist() == [[2]]


def test_a_refusal_is_told_and_so_is_lateness(serve: Serve) -> None:
    def answer(end: socket.socket, _said: dict[str, Any], numbers: Any) -> None:
        arrays.send(end, {"refused": "no"} if numbers[0, 0] == 1 else {"late": "over"})

    network = serve(answer)
    with pytest.raises(BadBundle, match="no"):
        network.answers(samples(1), Deadline(20))
    with pytest.raises(DeadlinePassed, match="over"):
        network.answers(samples(2), Deadline(20))


def test_nobody_there_is_said_after_some_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.1)
    with pytest.raises(BadBundle, match="does not answer"):
        RemoteNetwork(tmp_path / "nobody", Input.model_construct(layout="NS", dtype="float32"))


HEAD = b'{"dtype": "float32", "shape": [2]}'


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack(">IQ", 2**31, 0),
        struct.pack(">IQ", 2, 2**60),
        struct.pack(">IQ", 3, 0) + b"[1]",
        struct.pack(">IQ", 2, 0) + b"{x",
        struct.pack(">IQ", len(HEAD), 12) + HEAD + bytes(12),
        struct.pack(">IQ", 33, 8) + b'{"dtype": "object", "shape": [1]}' + bytes(8),
        struct.pack(">IQ", 36, 8) + b'{"dtype": "float32", "shape": [-2]} ' + bytes(8),
        struct.pack(">IQ", 35, 0) + b'{"dtype": "float32", "shape": null}',
    ],
    ids=["long head", "long body", "no object", "no JSON", "other size", "objects", "below nothing", "no shape"],
)
def test_what_is_no_message_is_refused_before_it_is_numbers(raw: bytes) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(raw)
        with pytest.raises(arrays.Garbled):
            arrays.receive(other)
