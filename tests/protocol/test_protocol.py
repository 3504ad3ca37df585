"""The protocol, explored: no order of steps of these worlds breaks an invariant, and every planted fault is seen."""

from __future__ import annotations

import json

import pytest
from protocol_explorer import report, worlds
from protocol_explorer.mutants import MUTANTS, Mutant, planted
from protocol_explorer.processes import QUIET
from protocol_explorer.search import explore


def _told(fault: object, trace: list[str]) -> str:
    return "\n  ".join([f"{fault}", *trace])


@pytest.mark.parametrize("world", worlds.small(), ids=lambda w: w.name)
def test_i3_to_i13_hold_in_every_state_and_every_state_settles(world: worlds.World) -> None:
    with planted(QUIET):
        found = explore(world)
    assert found.fault is None, _told(found.fault, found.trace)
    assert found.complete
    assert found.states > 100, "so small a world shows nothing"


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("world", worlds.large(), ids=lambda w: w.name)
def test_larger_worlds_hold_too(world: worlds.World) -> None:
    with planted(QUIET):
        found = explore(world, limit=world.limit)
    assert found.fault is None, _told(found.fault, found.trace)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_planted_fault_is_seen(mutant: Mutant) -> None:
    found = report.seen_in(mutant)
    assert found.fault is not None, "it survived"
    assert found.fault[0] in mutant.catches, _told(found.fault, found.trace)
    with planted(QUIET):
        sound = explore(mutant.where(), limit=max(300, found.states))
    assert sound.fault is None, "the world is at fault, not the mutant: " + _told(sound.fault, sound.trace)


def test_there_are_many_different_planted_faults() -> None:
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 25


def test_the_document_is_made_of_the_figures_and_names_every_planted_fault() -> None:
    told = json.loads(report.FIGURES.read_text())
    document = report.DOCUMENT.read_text()
    assert report.written(document, told) == document, "run python -m protocol_explorer --write"
    assert [m["mutant"] for m in told["mutants"]] == [m.name for m in MUTANTS], (
        "run python -m protocol_explorer --write"
    )
    assert {w["world"] for w in told["worlds"]} >= {w.name for w in worlds.small()}
    assert all(m["caught"] for m in told["mutants"])
