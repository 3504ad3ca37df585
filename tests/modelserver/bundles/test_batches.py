"""Requests that share a run: each gets its own rows, and nobody pays for another's samples."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drishtiksha_models.bundles import batches
from drishtiksha_models.bundles.batches import Asked, Batches
from drishtiksha_models.bundles.manifest import BadBundle
from drishtiksha_models.detector import Deadline, DeadlinePassed

Numbers = NDArray[Any]


class Doubling:
    """Answers twice each sample; `gate` holds its first run; -1 among the samples makes it fail, -2 late."""

    most = 4

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.runs: list[list[float]] = []

    def answers(self, samples: Sequence[Numbers], deadline: Deadline) -> Numbers:
        self.runs.append([float(sample[0]) for sample in samples])
        assert self.gate.wait(20)
        if any(sample[0] == -1 for sample in samples):
            raise BadBundle("it fails")
        if any(sample[0] == -2 for sample in samples):
            raise DeadlinePassed("late")
        return np.stack([2.0 * np.asarray(sample) for sample in samples])


class Crowd:
    """Threads that ask, one after the other, while the first run is held."""

    def __init__(self, network: Doubling) -> None:
        self.network, self.told, self.said = network, [], {}  # type: ignore[var-annotated]
        self.stuck = threading.Event()
        self.batches = Batches(network, lambda requests, samples: self.told.append((requests, samples)), self.stuck.set)
        self.threads: list[threading.Thread] = []
        threading.Thread(target=self.batches.serve, daemon=True).start()

    def ask(self, name: str, *values: float, seconds: float = 20.0, alone: bool = False, **more: Any) -> None:
        width = more.pop("width", 1)
        asked = Asked(np.array([[v] * width for v in values]), Deadline(seconds), alone, **more)
        before = len(self.batches._waiting)
        first = not self.threads

        def work() -> None:
            try:
                self.said[name] = [float(row[0]) for row in self.batches.ask(asked)]
            except Exception as error:
                self.said[name] = type(error).__name__

        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()
        until(lambda: bool(self.network.runs) if first else len(self.batches._waiting) > before)

    def end(self) -> dict[str, Any]:
        self.network.gate.set()
        for thread in self.threads:
            thread.join(20)
        return self.said


def until(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(4000):
        if true():
            return
        pause.wait(0.005)
    raise AssertionError("it never was so")


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(Doubling())


def test_what_waits_goes_together_and_each_gets_its_own_rows(crowd: Crowd) -> None:
    crowd.ask("first", 1)
    crowd.ask("a", 2)
    crowd.ask("b", 3, 4)
    crowd.ask("c", 5, 6)
    crowd.ask("d", 7)
    assert crowd.end() == {"first": [2], "a": [4], "b": [6, 8], "c": [10, 12], "d": [14]}
    assert crowd.network.runs == [[1], [2, 3, 4], [5, 6, 7]]  # four fit; nobody overtakes
    assert crowd.told == [(1, 1), (2, 3), (2, 3)]


def test_who_fails_or_is_late_costs_the_others_nothing(crowd: Crowd) -> None:
    crowd.ask("first", 1)
    crowd.ask("good", 2)
    crowd.ask("fails", -1)
    crowd.ask("late", -2)
    assert crowd.end() == {"first": [2], "good": [4], "fails": "BadBundle", "late": "DeadlinePassed"}
    assert crowd.network.runs == [[1], [2, -1, -2], [2], [-1], [-2]]


def test_what_nobody_waits_for_any_more_is_not_run(crowd: Crowd) -> None:
    crowd.ask("first", 1)
    crowd.ask("impatient", 2, seconds=0.0)
    crowd.ask("good", 3)
    assert crowd.end() == {"first": [2], "impatient": "DeadlinePassed", "good": [6]}
    assert crowd.network.runs == [[1], [3]]


def test_alone_is_alone_and_told_when_it_begins(crowd: Crowd) -> None:
    begun: list[int] = []
    crowd.ask("first", 1)
    crowd.ask("a", 2)
    crowd.ask("alone", 3, alone=True, begins=lambda: begun.append(len(crowd.network.runs)))
    crowd.ask("b", 4)
    assert crowd.end() == {"first": [2], "a": [4], "alone": [6], "b": [8]}
    assert crowd.network.runs == [[1], [2], [3], [4]]
    assert begun == [2]


def test_samples_of_other_sizes_are_not_stacked(crowd: Crowd) -> None:
    crowd.ask("first", 1)
    crowd.ask("narrow", 2)
    crowd.ask("wide", 3, width=2)
    assert crowd.end() == {"first": [2], "narrow": [4], "wide": [6]}
    assert crowd.network.runs == [[1], [2], [3]]


def test_more_than_fit_are_refused_at_the_door(crowd: Crowd) -> None:
    with pytest.raises(ValueError, match="5 samples at once, 4 fit"):
        crowd.batches.ask(Asked(np.zeros((5, 1)), Deadline(1)))


def test_a_run_that_goes_on_after_its_deadline_is_given_up_and_one_that_ends_is_not(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "STUCK", 0.1)
    crowd.ask("endless", 1, seconds=0.2)
    assert crowd.stuck.wait(20)
    crowd.end()
    good = Crowd(Doubling())
    good.network.gate.set()
    good.ask("quick", 1, seconds=0.2)
    assert not good.stuck.wait(0.6)
    assert good.end() == {"quick": [2]}
