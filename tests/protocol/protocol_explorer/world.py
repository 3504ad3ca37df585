"""What may happen in a world: the steps of every process, of pods, controllers, users, troubles and time.

`steps` gives every next state; `honest` the one that a healthy world would come to next, with no trouble and nobody
asking for anything: by it the explorer sees whether things settle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from drishtiksha.database.admission import Caps
from drishtiksha.domain.errors import Fenced, NotFound
from drishtiksha.domain.status import RunStatus
from drishtiksha_operator import sweep

from . import cluster, people, processes, rows
from .program import Program, Raised, Request
from .rows import Event
from .state import DUE, HIDDEN, NO_WISH, OPEN_RUN, REJECTED, RUN_IDS, Media, Run, State, alive, at, with_media, with_run

WIDE = Caps(total=99, per_user=99, per_model=99, of_model={})
Step = tuple[str, State, tuple[Event, ...]]


@dataclass
class World:
    """One small world. `troubles`: what may go wrong or be asked for, and how often. `fine`: every call of the
    operators and dispatchers is a step of its own; else a whole look is, or what a crash leaves of it."""

    name: str
    media: int = 1
    users: int = 1
    models: int = 1
    budget: int = 2
    operators: int = 1
    dispatchers: int = 1
    fine: bool = False
    caps: Caps = WIDE
    troubles: dict[str, int] = field(default_factory=dict)
    dispatched: bool = False
    """Whether it begins after the resources were made."""
    frozen: bool = False
    """Whether it begins after the freeze."""
    late: int = 0
    """So many of the first runs are not frozen yet all the same."""
    still: bool = False
    """Whether pods only move when the world settles."""
    handed_in: bool = False
    """Whether it begins after every pod has handed in its result."""
    limit: int = 20_000
    """States after which the exploration of a large world stops; the report says so."""
    operator: Program = field(init=False)
    dispatcher: Program = field(init=False)

    def __post_init__(self) -> None:
        self.operator = processes.operator(self.budget)
        self.dispatcher = processes.dispatcher()
        self.index = {name: i for i, name in enumerate(self.troubles)}
        rows.BUDGET[0] = self.budget

    def first(self) -> State:
        """Each media accepted, its bytes durable, its first run queued, its wish written."""
        media = tuple(Media(latest=n, user=n % self.users) for n in range(self.media))
        runs = tuple(Run(media=n) for n in range(self.media))
        s = State(
            media, runs, (None,) * self.media, ops=(None,) * self.operators, disps=(None,) * self.dispatchers,
            ml=f"all:{self.models}", left=tuple(self.troubles.values()),
        )  # fmt: skip
        for r in range(self.media):
            if self.dispatched or self.frozen:
                s, _, _ = cluster.post_resource(s, r)
                s = with_run(s, r, s.runs[r]._replace(wish=NO_WISH))
            if self.frozen and r >= self.late:
                s, _, _ = rows.freeze(s, r, tuple((m, self.budget) for m in ("A", "B", "C")[: self.models]))
            if self.handed_in:
                s, _, _ = look(self, s, r)
        while self.handed_in and (moved := people.honest_pod(s)) is not None:
            s, _ = moved
        return s

    def can(self, s: State, trouble: str) -> bool:
        return trouble in self.index and s.left[self.index[trouble]] > 0

    def spend(self, s: State, trouble: str) -> State:
        i = self.index[trouble]
        return s._replace(left=at(s.left, i, s.left[i] - 1))


def perform(world: World, s: State, request: Request) -> tuple[State, Any, tuple[Event, ...]]:
    """Carry one call out, as its neighbour would."""
    name, args = request[0], request[1:]
    try:
        if name in _ROWS:
            return getattr(rows, name)(s, *args)
        if name in KUBE_WRITES:
            return getattr(cluster, name)(s, *args)
        return _more(world, s, name, args)
    except (NotFound, Fenced) as refused:
        return s, Raised(type(refused)), ()


_ROWS = frozenset(
    {
        "freeze",
        "note_jobs",
        "note_pending",
        "attempt_ended",
        "fail_analysis",
        "carry_out_cancel",
        "conclude",
        "again",
        "erased",
        "insert_attempts",
        "insert_places",
        "write_end",
    }
)
KUBE_WRITES = frozenset(
    {"apply_unseen", "post_resource", "delete_resource", "apply_status", "release", "post_job", "delete_job"}
)


def _more(world: World, s: State, name: str, args: Any) -> tuple[State, Any, tuple[Event, ...]]:
    if name == "snapshot":
        return s, snapshot(s, args[0]), ()
    if name == "get_resource":
        return s, s.res[args[0]] if args[0] < len(s.res) else None, ()
    if name in ("list_jobs", "list_pods"):
        return s, cluster.of_run(s, args[0]), ()
    if name == "get_job":
        return s, next((j for j in s.jobs if (j.run, j.model, j.number) == args), None), ()
    if name == "ml":
        return s, s.ml, ()
    if name == "start_attempts":
        return rows.start_attempts(s, args[0], world.caps, world.budget)
    if name == "places":  # of mutants: the count and the insertion as two steps
        admitted, _, _ = rows.places(s, world.caps, world.budget)
        return s, tuple(w.model for w in admitted if w.run_id == RUN_IDS[args[0]]), ()
    if name == "read_end":
        return s, rows.decide_end(s.runs[args[0]], args[1]) if alive(s, args[0]) else None, ()
    return _dispatch(s, name, args)


def snapshot(s: State, r: int) -> Any:
    """The reply to a look at a run's rows."""
    if r >= len(s.runs) or not alive(s, r):
        return None
    run = s.runs[r]
    return run._replace(made=0, asked=False, offered=0), s.media[run.media].deleted


def _dispatch(s: State, name: str, args: Any) -> tuple[State, Any, tuple[Event, ...]]:
    if name == "resource_facts":
        r = args[0]
        return s, alive(s, r) and s.runs[r].status in OPEN_RUN and not s.media[s.runs[r].media].deleted, ()
    if name == "erasure":
        media = s.media[args[0]]
        if media.gone or not media.deleted:
            return s, None, ()
        return s, (tuple(r for r, run in enumerate(s.runs) if run.media == args[0]), media.aged), ()
    if name == "list_bytes":
        return s, s.media[args[0]].bytes, ()
    if name == "delete_bytes":
        return with_media(s, args[0], s.media[args[0]]._replace(bytes=False)), None, ()
    becomes = {"wish_done": NO_WISH, "wish_later": HIDDEN, "wish_rejected": REJECTED}[name]
    kind, key = args
    if kind == "create":
        if s.runs[key].wish != NO_WISH:
            s = with_run(s, key, s.runs[key]._replace(wish=becomes))
    elif s.media[key].erase != NO_WISH:
        s = with_media(s, key, s.media[key]._replace(erase=becomes))
    return s, None, ()


def outcomes(world: World, s: State, request: Request) -> Iterator[tuple[str, State, Any, tuple[Event, ...]]]:
    """All that may come of a call: what its neighbour does, or a refusal that the world still has in store."""
    yield ("", *perform(world, s, request))
    if request[0] in ("post_resource", "post_job") and world.can(s, "refusal"):
        yield " (refused for good)", world.spend(s, "refusal"), "refused", ()


# -- processes --------------------------------------------------------------------------------------------------------


def steps(world: World, s: State) -> Iterator[Step]:
    """Every next state, with a sentence and the events that were written."""
    yield from _operators(world, s)
    yield from _dispatchers(world, s)
    for label, after in cluster.controllers(s):
        yield label, after, ()
    if not world.still:
        yield from people.pods(world, s)
    yield from people.users(world, s)
    yield from people.troubles(world, s)
    for label, after in people.clocks(s):
        yield label, after, ()


def _operators(world: World, s: State) -> Iterator[Step]:
    program = world.operator
    idle_seen = False
    for k, here in enumerate(s.ops):
        if here is None:
            if idle_seen:  # operators are alike
                continue
            idle_seen = True
            for r in range(len(s.runs)):
                if not (alive(s, r) or s.res[r] is not None):
                    continue
                start = program.start(r)
                if world.fine:
                    yield from _advance(world, s, "ops", k, program, start, r, f"operator looks at run {r}: ")
                else:
                    yield from _whole(world, s, program, start, f"operator looks at run {r}")
            continue
        r, place = here
        yield from _advance(world, s, "ops", k, program, place, r, f"operator at run {r}: ")
        if world.can(s, "crash"):
            died = world.spend(s, "crash")
            yield f"operator at run {r} dies", _sorted(died._replace(ops=at(s.ops, k, None))), ()


def _dispatchers(world: World, s: State) -> Iterator[Step]:
    program = world.dispatcher
    wishes = due(s)
    idle_seen = False
    for k, here in enumerate(s.disps):
        if here is None:
            if idle_seen:
                continue
            idle_seen = True
            for what in wishes:
                claimed = claim(s, what)
                start = program.start(what)
                label = f"dispatcher takes up {what[0]} {what[1]}"
                if world.fine:
                    yield from _advance(world, claimed, "disps", k, program, start, what, f"{label}: ")
                else:
                    yield from _whole(world, claimed, program, start, label)
            continue
        what, place = here
        yield from _advance(world, s, "disps", k, program, place, what, f"dispatcher with {what[0]} {what[1]}: ")
        if world.can(s, "crash"):
            died = world.spend(s, "crash")
            yield f"dispatcher with {what[0]} {what[1]} dies", _sorted(died._replace(disps=at(s.disps, k, None))), ()


def due(s: State) -> list[tuple[str, int]]:
    """Wishes that may be claimed."""
    found = [("create", r) for r, run in enumerate(s.runs) if run.wish == DUE and alive(s, r)]
    return found + [("erase", m) for m, media in enumerate(s.media) if media.erase == DUE]


def claim(s: State, what: tuple[str, int]) -> State:
    """The claimed wish is hidden from the others for a while."""
    kind, key = what
    if kind == "create":
        return with_run(s, key, s.runs[key]._replace(wish=HIDDEN))
    return with_media(s, key, s.media[key]._replace(erase=HIDDEN))


def _advance(
    world: World, s: State, who: str, k: int, program: Program, place: int, about: Any, label: str
) -> Iterator[Step]:
    request = program.request(place)
    if request is None:
        return
    for suffix, after, answer, events in outcomes(world, s, request):
        following = program.reply(place, answer)
        here = None if program.request(following) is None else (about, following)
        slots = at(getattr(s, who), k, here)
        yield f"{label}{request[0]}{suffix}", _sorted(after._replace(**{who: slots})), events


def _sorted(s: State) -> State:
    """Processes of one kind are alike: their order is no difference."""
    if len(s.ops) > 1 or len(s.disps) > 1:
        return s._replace(ops=tuple(sorted(s.ops, key=_order)), disps=tuple(sorted(s.disps, key=_order)))
    return s


def _order(here: Any) -> Any:
    return (0, "", 0) if here is None else (1, str(here[0]), here[1])


def _whole(world: World, s: State, program: Program, start: int, label: str) -> Iterator[Step]:
    """A whole look as one step; with a crash in store, also what each cut leaves."""
    stack: list[tuple[State, int, tuple[Event, ...], str]] = [(s, start, (), label)]
    while stack:
        now, place, said, text = stack.pop()
        request = program.request(place)
        if request is None:
            yield text, now, said
            continue
        for suffix, after, answer, events in outcomes(world, now, request):
            following = program.reply(place, answer)
            told = f"{text}{suffix}"
            stack.append((after, following, said + events, told))
            if after != now and program.request(following) is not None and world.can(after, "crash"):
                yield f"{told}, and dies after {request[0]}", world.spend(after, "crash"), said + events


# -- an honest world --------------------------------------------------------------------------------------------------


def honest(world: World, s: State) -> tuple[State, tuple[Event, ...]] | None:
    """The next state of a world in which nothing goes wrong any more; None when nothing happens any more."""
    for who, program in (("ops", world.operator), ("disps", world.dispatcher)):
        for k, here in enumerate(getattr(s, who)):
            if here is not None:
                about, place = here
                request = program.request(place)
                after, answer, events = perform(world, s, request)  # type: ignore[arg-type]
                following = program.reply(place, answer)
                on = None if program.request(following) is None else (about, following)
                return after._replace(**{who: at(getattr(s, who), k, on)}), events
    for what in due(s):
        after, events, _ = finish(world, claim(s, what), world.dispatcher, world.dispatcher.start(what))
        return after, events
    moved = people.honest_pod(s)
    if moved is not None:
        return moved
    for _, after in cluster.controllers(s):
        return after, ()
    for r in range(len(s.runs)):
        if not swept(s, r):
            continue
        after, events, _ = look(world, s, r)
        if after != s:
            return after, events
    for _, after in people.clocks(s):
        return after, ()
    later = people.all_clocks(s, f"all:{world.models}")
    later = people.backstop(s) if later == s else later
    return None if later == s else (later, ())


def swept(s: State, r: int) -> bool:
    """Whether the sweep has the operator look at a run, when no event was heard: by rows, or by both sides."""
    res, here = s.res[r], alive(s, r)
    run, media = s.runs[r], s.media[s.runs[r].media]
    if here and (any(t.held for e in run.exams for t in e.tries) or (run.status in OPEN_RUN and not media.deleted)):
        return True
    if res is None:
        return False
    ended = None if run.status in OPEN_RUN else processes.NOW
    state = (RunStatus(run.status), ended, media.deleted) if here else None
    metadata = cluster.resource_object(r, res)["metadata"]
    return sweep.judge(metadata, state, processes.NOW, 86400.0).look


def look(world: World, s: State, r: int) -> tuple[State, tuple[Event, ...], list[Request]]:
    """One whole look at a run, with the calls that it made."""
    return finish(world, s, world.operator, world.operator.start(r))


def finish(world: World, s: State, program: Program, place: int) -> tuple[State, tuple[Event, ...], list[Request]]:
    """Run a program to its end, with nobody in between."""
    said: tuple[Event, ...] = ()
    made: list[Request] = []
    while (request := program.request(place)) is not None:
        s, answer, events = perform(world, s, request)
        said += events
        made.append(request)
        place = program.reply(place, answer)
    return s, said, made
