"""The worlds that are explored, one theme each: `small` in every test run, `large` in the soak."""

from __future__ import annotations

from drishtiksha.database.admission import Caps

from .world import World

ONE_PLACE = Caps(1, 1, 1, {})


def small() -> list[World]:
    """Every state of each of these is visited."""
    one = {"budget": 1, "frozen": True}
    return [
        World("an upload; any process and a pod may die", troubles={"crash": 1, "pod crash": 1}),
        World(
            "an attempt fails in every way",
            frozen=True,
            troubles={"pod crash": 1, "retryable": 1, "permanent": 1, "silent exit": 1},
        ),
        World("clocks and lost nodes", frozen=True, troubles={"late": 1, "silent": 1, "node lost": 1, "thaw": 1}),
        World("pods started twice, replies lost", frozen=True, troubles={"twin": 1, "lost reply": 1, "pod crash": 1}),
        World("two models, one fails, somebody cancels", models=2, **one, troubles={"permanent": 1, "cancel": 1}),
        World("cancelled by REST and by kubectl", fine=True, **one, troubles={"cancel": 1, "kubectl": 1}),
        World("deleted with two dispatchers", dispatchers=2, **one, troubles={"remove": 1, "crash": 1}),
        World("deleted and run again", budget=1, troubles={"rerun": 1, "remove": 1}),
        World("a dispatcher beside the operator", budget=1, fine=True, dispatched=False, troubles={}),
        World("two operators start an attempt", fine=True, operators=2, still=True, **one),
        World("two operators end a run", fine=True, operators=2, still=True, handed_in=True, **one),
        World("the cluster refuses", budget=1, troubles={"refusal": 2, "crash": 1}),
        World("the cluster loses things", **one, troubles={"lost resource": 1, "lost job": 1, "ttl": 1}),
        World(
            "the ML service comes and goes",
            budget=1,
            models=2,
            dispatched=True,
            troubles={"ml away": 1, "ml none": 1, "ml all:1": 1, "old": 1},
        ),
        World(
            "two users, one place",
            media=2,
            users=2,
            caps=ONE_PLACE,
            **one,
            troubles={"crash": 1, "pod crash": 1},
        ),
    ]


def large() -> list[World]:
    """Bigger, and seen whole or up to their limit of states, nearest first."""
    everything = {"crash": 1, "pod crash": 1, "retryable": 1, "permanent": 1, "silent exit": 1, "twin": 1}
    return [
        World("two operators, a whole run", fine=True, operators=2, frozen=True, budget=1, limit=100_000),
        World("two media, three models, two attempts", media=2, users=2, models=3, troubles={"crash": 1, "pod crash": 1}),
        World("two operators, two attempts, deaths", fine=True, operators=2, frozen=True, troubles={"crash": 1, "pod crash": 1}),
        World("two operators, two media, one place", fine=True, operators=2, media=2, users=2, caps=ONE_PLACE, frozen=True, budget=1),
        World("two operators discover", fine=True, operators=2, models=2, dispatched=True, budget=1,
              troubles={"ml away": 1, "ml none": 1, "ml all:1": 1, "old": 1}),
        World("two operators, cancelled twice", fine=True, operators=2, frozen=True, budget=1, troubles={"cancel": 1, "kubectl": 1}),
        World("deleted, call by call", fine=True, dispatchers=2, frozen=True, troubles={"remove": 1, "crash": 1}),
        World("two dispatchers, call by call", fine=True, dispatchers=2, budget=1,
              troubles={"crash": 1, "lost resource": 1, "refusal": 1}),
        World("reruns, deletions and kubectl", troubles={"rerun": 2, "remove": 1, "kubectl": 1, "pod crash": 1}),
        World("everything fails", frozen=True, troubles={**everything, "lost reply": 1, "late": 1, "silent": 1, "node lost": 1, "thaw": 1}),
        World("the cluster loses everything", troubles={"crash": 2, "lost resource": 2, "lost job": 1, "ttl": 1, "old": 1, "kubectl": 1}),
    ]  # fmt: skip
