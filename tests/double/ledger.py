"""What the suites here have counted in this run, and the figures that are made of it when all have had their say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from figures import Claim, Table, record
from kubernetes_double import KINDS
from storms import Ended

COMMAND = "DRISHTIKSHA_WRITE_FIGURES=1 .venv/bin/pytest tests/double -m 'soak or not soak'"


@dataclass
class Ledger:
    """`claims`: by server, how many it passed. `storms`, `operators`: how plays ended, by who was on stage."""

    claims: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    plays: Counter[str] = field(default_factory=Counter)
    otherwise: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    injected: dict[str, Counter[str]] = field(default_factory=dict)
    restarts: int = 0

    def ended(self, stage: str, ended: Ended, *, alike: bool) -> None:
        self.plays[stage] += 1
        self.otherwise[stage] += bool(ended.wrong) or not alike
        self.calls[stage] += ended.calls
        self.injected.setdefault(stage, Counter()).update(ended.injected)

    def write(self) -> None:
        """The figures, if the whole of it has run."""
        if not (self.asked and self.plays["story"] > 10 and self.plays["process"] > 5):
            return
        plays, otherwise = sum(self.plays.values()), sum(self.otherwise.values())
        both = min(self.claims["double"], self.claims["kubernetes"])
        claims = [
            Claim(
                "claims about the API server that the double and the real server both pass",
                f"{self.asked} of {self.asked}", f"{both} of {self.asked}", both == self.asked,
                "seven claims failed first, on the real server: the double was wrong, and was mended",
            ),
            Claim(
                "runs under faults that ended otherwise than in good weather, did not settle, were written to again or were "
                "not clean for the witness",
                f"0 of {plays * 8}", f"{otherwise} plays of {plays} (8 runs each)", otherwise == 0,
                "a DELETED event taken for a cancellation, lists read from an old snapshot, a Job's early condition taken for its "
                "end, a lost answer taken for a failure (tests/red/double.toml)",
            ),
        ]  # fmt: skip
        rows = [
            [kind, *(f"{self.injected.get(stage, Counter())[kind]:,}" for stage in ("story", "process"))]
            for kind in KINDS
        ]
        rows.append(["**all**", *(f"{self.injected.get(s, Counter()).total():,}" for s in ("story", "process"))])
        rows.append(["plays of 8 runs", *(f"{self.plays[s]:,}" for s in ("story", "process"))])
        rows.append(["calls to the double", *(f"{self.calls[s]:,}" for s in ("story", "process"))])
        rows.append(["the process ended and was started again", "–", str(self.restarts)])
        words = (
            "The double (`tests/support/kubernetes_double`) speaks as much of the Kubernetes API as our clients and Kopf use; one suite of claims is asked of it "
            "and of the real API server with the real controllers. Only the double makes faults, by seed. A play is eight runs: answered, tried again, refused, "
            "failed, cancelled by REST and by kubectl, deleted, and one whose resource is lost; each play must end as it does in good weather."
        )
        record(
            "double", "A Kubernetes that misbehaves", COMMAND, claims, words=words,
            table=Table(["fault injected", "the story and its sweep", "the operator's process with Kopf"], rows),
        )  # fmt: skip
