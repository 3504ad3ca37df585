"""What happens in a round, drawn from a seed before anything is done. Pure: the same seed is the same list of steps.

`hands` has one method per rule. A step is one line, `rule words ~pause`, and can be read back.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

PEOPLE = 4
"""At most so many accounts per round."""
FILES = ("clip", "picture", "recording")
BAD_FILES = ("text", "empty", "torn", "playlist")
PROCESSES = ("api", "door", "operator", "modelserver")
PAUSED = (*PROCESSES, "valkey")
"""What may be stopped (SIGSTOP) and go on later, knowing nothing of the time between."""
BURST = 4
"""Uploads at once."""
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE_FAULTS = ("twin", "freeze", "evict", "oom", "image-pull", "pending", "lost")
OF_MEDIA = ("rerun", "cancel", "cancel_by_kubectl", "delete")
JUMPS = ("30", "130")
"""Seconds by which the database's clock seems to run ahead."""

MODELS = {
    "SURE-V1": {"fake": 0.9},
    "CALM-V1": {"fake": 0.1},
    "EARS-V1": {"fake": 0.8, "image": False, "video": False},
    "HARD-V1": {"do": "bad-media"},
    "LIAR-V1": {"do": "other-model"},
}
"""What each model does when it is well: two kinds of answers, one for recordings only, two that always fail."""

SCRIPTS: dict[str, dict[str, dict[str, object]]] = {
    "well": {"SURE-V1": {"seconds": 1}, "CALM-V1": {}, "EARS-V1": {}},
    "slow": {"SURE-V1": {"seconds": 5}, "CALM-V1": {"seconds": 3}, "EARS-V1": {"seconds": 4}},
    "spoiled": {"SURE-V1": {"seconds": 1}, "HARD-V1": {"seconds": 1}},
    "hopeless": {"HARD-V1": {}, "LIAR-V1": {"seconds": 1}},
    "lying": {"SURE-V1": {}, "CALM-V1": {"seconds": 2}, "LIAR-V1": {}},
    "ears": {"EARS-V1": {"seconds": 1}},
    "broken": {"SURE-V1": {"do": "broken"}, "CALM-V1": {"seconds": 1}},
    "busy": {"SURE-V1": {"seconds": 1}, "CALM-V1": {"do": "busy"}, "EARS-V1": {"do": "busy"}},
    "whole": {name: {} for name in MODELS},
}
"""What the ML service may be told: which models it lists, and how they differ from being well. `whole` heals."""

CALM = {
    "sign_up": 3,
    "upload": 24,
    "burst": 3,
    "upload_bad": 4,
    "rerun": 9,
    "cancel": 5,
    "cancel_by_kubectl": 4,
    "delete": 5,
    "listen": 4,
    "hang_up": 3,
    "models": 7,
    "kill": 6,
    "kill_runner": 4,
    "second_operator": 3,
}
"""Rules and their weights that any test cluster stands."""

WILD = CALM | {
    "node_fault": 8,
    "pause": 5,
    "restart_node": 2,
    "kill_control_plane": 4,
    "compact_etcd": 2,
    "wipe_etcd": 2,
    "restart_postgres": 3,
    "flush_valkey": 3,
    "kill_valkey": 3,
    "jump": 3,
}
"""And those that want a cluster, a PostgreSQL and a Valkey of their own."""


@dataclass(frozen=True)
class Step:
    """One thing that happens, and the seconds before the next."""

    rule: str
    words: tuple[str, ...] = ()
    pause: float = 0.0

    def __str__(self) -> str:
        return " ".join((self.rule, *self.words, f"~{self.pause:.1f}"))

    @classmethod
    def read(cls, line: str) -> Step:
        """The reverse of `str`."""
        rule, *words = line.split()
        pause = float(words.pop()[1:]) if words and words[-1].startswith("~") else 0.0
        return cls(rule, tuple(words), pause)


def draw(seed: int, steps: int, rules: dict[str, int]) -> list[Step]:
    """So many steps by weighted chance; what was taken away comes back some steps later. Begins with a person."""
    dice = random.Random(seed)
    drawn = [Step("sign_up", (), 0.0), Step("listen", ("0",), 0.0)]
    people, files = 1, 0
    deleted: set[int] = set()
    due: list[tuple[int, Step]] = []
    """Steps that undo earlier ones, with the place where they come."""
    while len(drawn) < steps:
        rule = dice.choices(list(rules), list(rules.values()))[0]
        if rule == "sign_up" and people == PEOPLE:
            rule = "upload"
        living = [number for number in range(files) if number not in deleted]
        if not living and rule in OF_MEDIA:
            rule = "upload"
        step = Step(rule, _words(rule, dice, people, living), round(dice.uniform(0.1, 1.3), 1))
        if (undo := _undo(step)) is not None:
            if any(undo == waiting for _, waiting in due):
                continue
            due.append((len(drawn) + dice.randint(2, 6), undo))
        people += rule == "sign_up"
        files += {"upload": 1, "burst": BURST}.get(rule, 0)
        if rule == "delete":
            deleted.add(int(step.words[0]))
        drawn.append(step)
        for entry in [entry for entry in due if entry[0] <= len(drawn)]:
            due.remove(entry)
            drawn.append(entry[1])
    return drawn + [undo for _, undo in due]


def read(text: str) -> list[Step]:
    """A printed plan; empty lines and those that begin with # are left out."""
    lines = (line.strip() for line in text.splitlines())
    return [Step.read(line) for line in lines if line and not line.startswith("#")]


def rules_of(steps: Sequence[Step]) -> Collection[str]:
    """Which rules a plan uses."""
    return {step.rule for step in steps}


def _words(rule: str, dice: random.Random, people: int, living: list[int]) -> tuple[str, ...]:
    """What is chosen when a rule is drawn. A file that was not accepted is passed over when the step is taken."""
    if rule in ("upload", "burst"):
        return str(dice.randrange(people)), dice.choice(FILES)
    if rule == "upload_bad":
        return str(dice.randrange(people)), dice.choice(BAD_FILES)
    if rule in ("listen", "hang_up"):
        return (str(dice.randrange(people)),)
    if rule in OF_MEDIA:
        # Mostly one of the last: there something is under way.
        return (str(living[max(-len(living), -1 - dice.choice((0, 0, 0, 1, 1, 2, 3, 5)))]),)
    one_of = {
        "kill": PROCESSES,
        "pause": PAUSED,
        "models": tuple(name for name in SCRIPTS if name != "whole"),
        "node_fault": NODE_FAULTS,
        "kill_control_plane": CONTROL_PLANE,
        "jump": JUMPS,
    }
    return (dice.choice(one_of[rule]),) if rule in one_of else ()


def _undo(step: Step) -> Step | None:
    """The step that ends what this one begins; None when it ends by itself."""
    if step.rule in ("kill", "pause"):
        return Step({"kill": "start", "pause": "resume"}[step.rule], step.words, 0.5)
    ends = {"node_fault": "node_calm", "kill_valkey": "start_valkey", "second_operator": "one_operator"}
    return Step(ends[step.rule], (), 0.5) if step.rule in ends else None
