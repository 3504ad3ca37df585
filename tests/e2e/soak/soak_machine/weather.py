"""What was done to the platform, and when: the excuses that a failed attempt may have. `hands` writes, `judge` reads.

Times are seconds of the machine's clock, the same that PostgreSQL stamps its rows with.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from .plan import MODELS, SCRIPTS

SLACK = 2.0
"""Seconds by which a trouble is felt earlier or later than we noted it."""
AFTERMATH = 15.0
"""Seconds that a trouble which has ended is still felt: the node or the operator sees it at its next look."""


@dataclass
class Spell:
    """A trouble that lasts."""

    kind: str
    began: float
    ended: float | None = None


@dataclass
class Weather:
    """All troubles so far, and what the ML service was told."""

    spells: list[Spell] = field(default_factory=list)
    scripts: list[tuple[float, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def begin(self, kind: str) -> None:
        self.counts[kind] += 1
        self.spells.append(Spell(kind, time.time()))

    def end(self, kind: str) -> None:
        for spell in self.spells:
            if spell.kind == kind and spell.ended is None:
                spell.ended = time.time()

    def strike(self, kind: str) -> None:
        """A trouble of one moment."""
        self.begin(kind)
        self.end(kind)

    def tell(self, script: str) -> None:
        """The ML service does this from now on."""
        self.scripts.append((time.time(), script))

    def shift(self, seconds: float) -> None:
        """The rows were aged: so are our notes."""
        for spell in self.spells:
            spell.began -= seconds
            spell.ended = None if spell.ended is None else spell.ended - seconds
        self.scripts = [(at - seconds, script) for at, script in self.scripts]

    def was(self, kinds: frozenset[str], start: float, end: float) -> bool:
        """Whether one of these troubles was in force between two moments, or had just ended."""
        return any(
            s.kind in kinds and s.began <= end + SLACK and (s.ended or time.time()) >= start - SLACK - AFTERMATH
            for s in self.spells
        )

    def told(self, start: float, end: float) -> list[str]:
        """The scripts in force between two moments."""
        ends = [at for at, _ in self.scripts[1:]] + [float("inf")]
        return [
            script
            for (at, script), until in zip(self.scripts, ends, strict=True)
            if at <= end + SLACK and until >= start - SLACK
        ]


def takes(model: str, media_type: str) -> bool:
    """Whether a model takes this kind of media."""
    return bool(MODELS[model].get(media_type.lower(), True))


def does(script: str, model: str) -> str | None:
    """What a model does in a script; None when it is not listed."""
    told = SCRIPTS[script].get(model)
    return None if told is None else str(told.get("do", MODELS[model].get("do", "answer")))


def expected_sets(scripts: list[str], media_type: str) -> set[frozenset[str]]:
    """The sets of models that a run of such a media may have been frozen with."""
    return {frozenset(model for model in SCRIPTS[script] if takes(model, media_type)) for script in scripts}


def script_file(script: str) -> dict[str, dict[str, object]]:
    """A script as scripted_ml reads it."""
    return {model: {**MODELS[model], **told} for model, told in SCRIPTS[script].items()}
