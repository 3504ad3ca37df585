"""The figures of an exploration, and the part of docs/reliability.md that is made of them and never typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .mutants import MUTANTS, Mutant, planted
from .processes import QUIET
from .search import Found, explore
from .worlds import large, small

ROOT = Path(__file__).resolve().parents[3]
FIGURES = ROOT / "docs" / "figures" / "protocol.json"
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- protocol: begin (written by tests/protocol) -->", "<!-- protocol: end -->"
MUTANT_LIMIT = 5_000
"""States within which a planted fault must show."""


def explore_small() -> list[Found]:
    with planted(QUIET):
        return [explore(world) for world in small()]


def explore_large() -> list[Found]:
    with planted(QUIET):
        return [explore(world, limit=world.limit) for world in large()]


def seen_in(mutant: Mutant) -> Found:
    """What the explorer says of a planted fault: the shortest trace to a bad state, else a state that settles badly."""
    with planted(QUIET), planted(mutant.patches):
        found = explore(mutant.where(), limit=MUTANT_LIMIT, settle=False)
        return found if found.fault is not None else explore(mutant.where(), limit=MUTANT_LIMIT)


def hunt() -> list[dict[str, Any]]:
    """Every mutant, with what the explorer said of it."""
    return [_told(mutant, seen_in(mutant)) for mutant in MUTANTS]


def _told(mutant: Mutant, seen: Found) -> dict[str, Any]:
    return {
        "mutant": mutant.name,
        "like": list(mutant.like),
        "caught": seen.fault is not None and seen.fault[0] in mutant.catches,
        "invariant": seen.fault[0] if seen.fault else None,
        "said": seen.fault[1] if seen.fault else None,
        "states": seen.states,
        "trace": seen.trace,
    }


def figures(worlds: list[Found], mutants: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts that are the same on every machine; no times."""
    return {
        "worlds": [
            {
                "world": f.world,
                "states": f.states,
                "transitions": f.transitions,
                "depth": f.depth,
                "ends": f.ends,
                "places": f.places,
                "whole": f.complete,
                "fault": f.fault,
                "trace": f.trace,
            }
            for f in worlds
        ],
        "mutants": mutants,
    }


def render(told: dict[str, Any]) -> str:
    """The generated part of the document."""
    worlds, mutants = told["worlds"], told["mutants"]
    caught = [m for m in mutants if m["caught"]]
    lengths = sorted(len(m["trace"]) for m in caught)
    lines = [
        f"Explored: **{sum(w['states'] for w in worlds):,} states, {sum(w['transitions'] for w in worlds):,} steps** in "
        f"{len(worlds)} worlds, {sum(w['whole'] for w in worlds)} of them whole; faults found in the platform as it stands: "
        f"**{sum(w['fault'] is not None for w in worlds)}**.",
        f"Planted faults caught: **{len(caught)} of {len(mutants)}**, by traces of {lengths[0]} to {lengths[-1]} steps "
        f"(median {lengths[len(lengths) // 2]}).",
        "",
        "| world | states | steps | deepest | different ends | places in our code | seen whole |",
        "|---|---:|---:|---:|---:|---:|---|",
        *(
            f"| {w['world']} | {w['states']:,} | {w['transitions']:,} | {w['depth']} | {w['ends']} | {w['places']:,} | "
            f"{'yes' if w['whole'] else 'the nearest ' + format(w['states'], ',')} |"
            for w in worlds
        ),
        "",
        "| planted fault | like failure | broke | trace | what was said |",
        "|---|---|---|---:|---|",
        *(
            f"| {m['mutant']} | {', '.join(map(str, m['like'])) or '–'} | {m['invariant'] if m['caught'] else '**survived**'} | "
            f"{len(m['trace'])} | {m['said'] or ''} |"
            for m in mutants
        ),
    ]
    return "\n".join(lines)


def written(document: str, told: dict[str, Any]) -> str:
    """The document with its generated part made anew."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{render(told)}\n\n{END}{tail}"


def write(told: dict[str, Any]) -> None:
    """Write the figures, and the document from them."""
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(told, indent=1) + "\n")
    DOCUMENT.write_text(written(DOCUMENT.read_text(), told))
