"""An ML service that misbehaves in every way that we could think of, through the whole chain: each analysis has its class,
the run is the function of its analyses, REST stays JSON, and nobody's memory grows with what the service sends.

The ways are `do` in tests/support/scripted_ml.py; the runner's own tests (tests/jobrunner) have more of each kind.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from figures import Claim, Table, record
from world import SUPPORT, Person, Running, World, wait_for

from drishtiksha.resources import job_name
from drishtiksha_devcluster.ports import free_port
from drishtiksha_devcluster.process import ProcessSpec

pytestmark = pytest.mark.long

MIB = 1024 * 1024
BUDGET = 3
GOOD = {"do": "answer", "fake": 0.9}

BREAKS_THE_CONTRACT = (
    *("refused", "invalid", "not-there", "not-made", "redirect", "html", "half", "twice", "nested", "crowded"),
    *("digits", "endless", "bomb", "nan", "nan-deep", "sure", "maybe", "frame-off", "frames-over"),
    *("other-model", "other-media", "failed"),
)
ENDS: dict[str, tuple[str, str | None, int]] = {
    "answer": ("COMPLETED", None, 1),
    "frames": ("COMPLETED", None, 1),
    "unstorable": ("COMPLETED", None, 1),
    "huge": ("COMPLETED", None, 1),
    "bad-media": ("FAILED", "BAD_MEDIA", 1),
    "too-large": ("FAILED", "BAD_MEDIA", 1),
    "no-codec": ("FAILED", "BAD_MEDIA", 1),
    "broken": ("FAILED", "ML_UNAVAILABLE", BUDGET),
    "bad-gateway": ("FAILED", "ML_UNAVAILABLE", BUDGET),
    "cut": ("FAILED", "ML_UNAVAILABLE", BUDGET),
    **dict.fromkeys(BREAKS_THE_CONTRACT, ("FAILED", "ML_CONTRACT", 1)),
}
"""What the service does → how its analysis ends, its class, and the attempts that it costs."""

MEASURED = """
services:
  - name: default
models:
  defaults:
    overlay: {{containers: [{{name: runner, command: [python, "{runner}"]}}]}}
"""
RUNNER_LIMIT = 512 * MIB
"""The memory limit of a runner's container in the default profile: beyond it the node kills it."""
DOOR_LIMIT = 512 * MIB


def model(do: str) -> str:
    """The model that does so."""
    return f"{do.upper()}-V1"


@dataclass
class Shown:
    """What the tests of this file have counted; written down when all of them have run."""

    ends: dict[str, tuple[str, str | None, int]] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    door: int = 0
    slow: dict[str, tuple[str, str | None, int]] = field(default_factory=dict)
    deaths: int = 0
    calls: int = 0


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    seen = Shown()
    yield seen
    if seen.ends and seen.slow:
        write(seen)


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    script = {model(do): {"do": do, "fake": 0.9} for do in ENDS}
    made = new_world(script=script, config=MEASURED.format(runner=SUPPORT / "measured_runner.py"), settings={})
    made.start()
    return made


@pytest.fixture(scope="module")
def examined(world: World, demo_media: dict[str, Any], shown: Shown) -> tuple[Person, dict[str, Any]]:
    """One film, 32 models, each answered in another way; the full object."""
    person = world.person()
    media = person.upload(demo_media["clip"].path)
    person.wait(media["id"], 300)
    wait_for("all Jobs to end", lambda: not world.sql("SELECT 1 FROM attempts WHERE job_ended_at IS NULL"))
    for do in ENDS:
        shown.peaks[do] = max(measured(world, media["latestRunId"], model(do)))
    shown.door = highest(world["door"].pid)
    return person, world.same_answer(person, media["id"])


def measured(world: World, run_id: str, name: str) -> list[int]:
    """What the runners of one model held at their highest moments, in bytes; as `measured_runner` left it in their logs."""
    logs = (world.cluster.home / "logs" / "pods").glob(
        f"{world.namespace}_{job_name(run_id, name, 1)[:-1]}*/runner.log"
    )
    last = [log.read_text().split()[-2:] for log in logs]
    assert all(word == "measured" for word, _ in last), f"a runner of {name} did not come to its end"
    return [int(kib) * 1024 for _, kib in last]


def highest(pid: int) -> int:
    """What a living process has held at its highest moment, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def ends_of(media: dict[str, Any]) -> dict[str, tuple[str, str | None, int]]:
    """By model: how it ended, its class, its attempts."""
    return {a["model"]: (a["status"], a["errorClass"], a["attempt"]) for a in media["analyses"]}


def strict(text: str) -> Any:
    """JSON as everybody else reads it: NaN and infinities are none."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_i19_whatever_a_service_answers_has_one_class_and_costs_what_it_should(
    examined: tuple[Person, dict[str, Any]], shown: Shown
) -> None:
    _, media = examined
    shown.ends = ends_of(media)
    assert shown.ends == {model(do): end for do, end in ENDS.items()}
    for analysis in media["analyses"]:
        assert (analysis["status"] == "FAILED") == bool(analysis["errorMessage"]), analysis["model"]
        assert len(analysis["errors"]) == (analysis["attempt"] if analysis["status"] == "FAILED" else 0)


def test_i7_the_run_is_the_function_of_its_analyses_and_only_answers_vote(
    world: World, examined: tuple[Person, dict[str, Any]]
) -> None:
    _, media = examined
    assert (media["status"], media["analysisRuns"][0]["reason"]) == ("PARTIALLY_ANALYZED", None)
    assert media["verdict"]["models"] == sorted(model(do) for do, (end, _, _) in ENDS.items() if end == "COMPLETED")
    assert (media["verdict"]["label"], media["verdict"]["score"]) == ("FAKE", pytest.approx(0.9))
    assert len(world.jobs(media["latestRunId"])) == sum(attempts for _, _, attempts in ENDS.values())
    world.verify()


def test_a_service_cannot_make_rest_say_anything_but_json(examined: tuple[Person, dict[str, Any]]) -> None:
    person, media = examined
    for path in (f"/media/{media['id']}", "/media", f"/media/{media['id']}/runs/1", "/monitoring/queue-status"):
        answer = person.http.get(path)
        assert answer.status_code == 200, path
        strict(answer.text)
    found = {a["model"]: a for a in media["analyses"]}
    assert found[model("frames")]["framesTotal"] == 100_000
    assert 10_000 <= len(found[model("frames")]["frameAnalysis"]) <= 20_000
    cleaned = found[model("unstorable")]
    assert (cleaned["note"], cleaned["limits"], cleaned["facts"]) == ("abc", ["xy"], {"k": "v"})
    assert found[model("huge")]["metrics"] == {"big": 1e308}


def test_i15_what_a_service_sends_does_not_fill_the_memory_of_runner_or_door(
    examined: tuple[Person, dict[str, Any]], shown: Shown
) -> None:
    assert shown.peaks.keys() == ENDS.keys()
    assert max(shown.peaks.values()) < RUNNER_LIMIT, shown.peaks
    assert shown.door < DOOR_LIMIT, shown.door
    plain = statistics.median(shown.peaks.values())
    assert shown.peaks["bomb"] - plain < 96 * MIB, "it was to be 4 GiB"


SERVICES = """
services:
  - name: default
  - {{name: fragile, url: "http://127.0.0.1:{fragile}"}}
  - {{name: gone, url: "http://127.0.0.1:{gone}"}}
models:
  overrides:
    - {{match: "*-ONCE", attempts: 1, runningDeadline: 20s}}
    - {{match: "GONE-V1", attempts: 2}}
"""
SLOW: dict[str, tuple[str, str | None, int]] = {
    "JUST-IN-TIME-ONCE": ("COMPLETED", None, 1),
    "TOO-LATE-ONCE": ("FAILED", "DEADLINE", 1),
    "BUSY-FOR-EVER-ONCE": ("FAILED", "ML_UNAVAILABLE", 1),
    "BUSY-A-WHILE-V1": ("COMPLETED", None, 1),
    "DIES-V1": ("FAILED", "ML_UNAVAILABLE", BUDGET),
    "GONE-V1": ("FAILED", "ML_UNAVAILABLE", 2),
    "GOOD-V1": ("COMPLETED", None, 1),
}


class Service:
    """One more scripted service, started again whenever it dies, until it is told to stay down."""

    def __init__(self, folder: Path, name: str, port: int, models: dict[str, Any]) -> None:
        self.script = folder / f"{name}.json"
        self.script.write_text(json.dumps({"models": models}))
        command = (sys.executable, str(SUPPORT / "scripted_ml.py"), str(port), str(self.script))
        spec = ProcessSpec(name, command, {}, ready=f"http://127.0.0.1:{port}/stats")
        self.running = Running(spec, folder / f"{name}.log")
        self.deaths = 0
        self._down = threading.Event()
        self.running.start()
        self._thread = threading.Thread(target=self._keep_up)
        self._thread.start()

    def down(self) -> None:
        """Down, and not started again."""
        self._down.set()
        self._thread.join()
        self.running.kill()

    def calls(self) -> Counter[str]:
        """Analyses by model."""
        found = Path(f"{self.script}.calls")
        return Counter(found.read_text().split()) if found.exists() else Counter()

    def _keep_up(self) -> None:
        while not self._down.wait(0.2):
            if self.running.ended():
                self.deaths += 1
                self.running.start()


@pytest.mark.kill
def test_a_file_that_kills_its_service_is_tried_three_times_and_clocks_end_the_rest(
    new_world: Callable[..., World], demo_media: dict[str, Any], tmp_path: Path, shown: Shown
) -> None:
    ports = {"fragile": free_port(), "gone": free_port()}
    script = {
        "GOOD-V1": GOOD,
        "BUSY-A-WHILE-V1": {"do": "busy"},
        "BUSY-FOR-EVER-ONCE": {"do": "busy"},
        "JUST-IN-TIME-ONCE": {**GOOD, "seconds": 12},
        "TOO-LATE-ONCE": {**GOOD, "seconds": 60},
    }
    with contextlib.ExitStack() as stack:
        fragile = Service(tmp_path, "fragile", ports["fragile"], {"DIES-V1": {"do": "die"}})
        stack.callback(fragile.down)
        gone = Service(tmp_path, "gone", ports["gone"], {"GONE-V1": {**GOOD, "seconds": 60}})
        stack.callback(gone.down)
        world = new_world(script=script, config=SERVICES.format(**ports), settings={})
        world.start()
        person = world.person()
        media = person.upload(demo_media["clip"].path)

        wait_for("the service to be at work", lambda: gone.calls()["GONE-V1"])
        gone.down()
        wait_for("the busy ones to be told so", lambda: status_of(person, media, "BUSY-FOR-EVER-ONCE") == "PROCESSING")
        world.script({**script, "BUSY-A-WHILE-V1": GOOD})

        person.wait(media["id"], 240)
        seen = world.same_answer(person, media["id"])
        shown.slow, shown.deaths, shown.calls = ends_of(seen), fragile.deaths, fragile.calls()["DIES-V1"]
        assert shown.slow == SLOW
        assert seen["verdict"]["models"] == ["BUSY-A-WHILE-V1", "GOOD-V1", "JUST-IN-TIME-ONCE"]
        assert (shown.deaths, shown.calls) == (BUDGET, BUDGET), "each attempt may kill it once"
        said = {a["model"]: a["errorMessage"] for a in seen["analyses"]}
        assert "stayed busy" in said["BUSY-FOR-EVER-ONCE"]
        assert "connection" in said["GONE-V1"]
        strict(person.http.get(f"/media/{media['id']}").text)
        world.verify()


def status_of(person: Person, media: dict[str, Any], name: str) -> str | None:
    """The status of one model, once there is one."""
    return next((a["status"] for a in person.media(media["id"])["analyses"] if a["model"] == name), None)


def write(seen: Shown) -> None:
    """Everything that was counted, for docs/reliability.md."""
    wanted = {model(do): end for do, end in ENDS.items()} | SLOW
    found = seen.ends | seen.slow
    right = sum(found.get(name) == end for name, end in wanted.items())
    plain = statistics.median(seen.peaks.values())
    claims = [
        Claim("ways to misbehave that ended with the class and the attempts that they must", f"{len(wanted)} of {len(wanted)}",
              f"{right} of {len(wanted)}", right == len(wanted), "a NaN is let through; a broken connection is asked again in the same attempt"),
        Claim("times that one file kills a service which is always started again", f"{BUDGET}", f"{seen.deaths}",
              seen.deaths == BUDGET, "a broken connection is asked again in the same attempt"),
        Claim("memory of the runner for a gzip bomb of 4 GiB, beyond a plain answer's", "< 96 MiB",
              f"{max(0, seen.peaks['bomb'] - plain) / MIB:.0f} MiB", seen.peaks["bomb"] - plain < 96 * MIB, "an answer is not measured while it arrives"),
        Claim("memory of any runner at its highest moment", "< 512 MiB (its limit)",
              f"{max(seen.peaks.values()) / MIB:.0f} MiB ({max(seen.peaks, key=lambda do: seen.peaks[do])})",
              max(seen.peaks.values()) < RUNNER_LIMIT, "an answer is not measured while it arrives"),
        Claim("memory of the door at its highest moment (a result of 100,000 frames)", "< 512 MiB",
              f"{seen.door / MIB:.0f} MiB", seen.door < DOOR_LIMIT, "–"),
    ]  # fmt: skip
    by_end: dict[tuple[str, str | None, int], list[str]] = {}
    for name, end in found.items():
        by_end.setdefault(end, []).append(name.removesuffix("-V1").lower())
    rows = [
        (", ".join(names), status, error or "–", str(attempts)) for (status, error, attempts), names in by_end.items()
    ]
    record(
        "service",
        "An ML service that misbehaves",
        "DRISHTIKSHA_WRITE_FIGURES=1 .venv/bin/pytest -m 'kill or not kill' tests/e2e/test_service.py",
        claims,
        words="One film is examined by 32 models at once, each answered in another way, and by seven whose service is slow, "
        "busy, gone, or killed by the file; every run ended PARTIALLY_ANALYZED with the verdict of those that answered.",
        table=Table(("the service", "ends", "class", "attempts"), rows),
    )
