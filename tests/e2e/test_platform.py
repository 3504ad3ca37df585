"""The whole platform as a person has it: brought up, killed and taken down by the command line, in a home of its own.

The other tests of this folder share one cluster; here the supervisor, PostgreSQL and etcd are part of what is tested.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from world import TERMINAL, Person, wait_for

from drishtiksha_cli.demo_media import DemoFile
from drishtiksha_devcluster import binary, dotenv, platform, postgres
from drishtiksha_devcluster.ports import free_port

VERDICTS = {"clip.mp4": "INCONCLUSIVE", "picture.png": "FAKE", "recording.flac": "INCONCLUSIVE"}
MODELS = {"clip.mp4": 5, "picture.png": 4, "recording.flac": 2}
"""How many detectors take each of them."""
SHOWN = VERDICTS | {"signed.jpg": "FAKE", "watermarked.png": "FAKE"}
"""What the demo shows without being asked for more."""


class Platform:
    """A state folder with settings of its own, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        dotenv.make(self.home / ".env")
        foreign = {"DATABASE_URL", "REDIS_URL", "SERVER_URL", "BASE_URL"}
        kept = {k: v for k, v in os.environ.items() if k not in foreign and not k.startswith("DRISHTIKSHA_")}
        own = {"PORT": str(free_port()), "XDG_CONFIG_HOME": str(folder / "config"), "DRISHTIKSHA_HOME": str(self.home)}
        self.env = kept | own

    def run(self, *words: str, code: int = 0, seconds: float = 240) -> str:
        """What a command prints; AssertionError with all of it unless it ends with `code`."""
        command = [sys.executable, "-m", "drishtiksha_cli.main", *words]
        done = subprocess.run(
            command, env=self.env, cwd=self.home.parent, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self) -> None:
        """Bring it up unless it is."""
        found = platform.status(self.home)
        if len(found) < len(platform.NAMES) or any(p["state"] != "ready" for p in found):
            self.run("up", "--home", str(self.home))

    def log_in(self) -> None:
        """Bring it up, with an account of its own at this terminal unless the demo's is."""
        self.up()
        if not (Path(self.env["XDG_CONFIG_HOME"]) / "drishtiksha").is_dir():
            name = ("--first-name", "A", "--last-name", "B")
            self.run("signup", "--email", "a@example.org", "--password", "correct horse", *name)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this folder, the supervisor first: whatever names it in its words or environment."""
        marks = (str(self.home), str(postgres.data_folder(self.home)))
        supervisors, others = [], []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                said = " ".join([*words, *process.environ().values(), process.cwd()])
                running = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if running and any(mark in said for mark in marks):
                (supervisors if "drishtiksha_devcluster.supervisor" in words else others).append(process)
        return supervisors + others

    def place(self, name: str) -> str:
        """A value of the `env` file that `up` leaves for people and tools."""
        return dotenv.parse((self.home / "env").read_text())[name]

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.place("DATABASE_URL"), autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    binary.control_plane()
    made = Platform(tmp_path_factory.mktemp("platform"))
    yield made
    platform.down(made.home, data=True)
    for process in made.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_the_demo_brings_everything_up_and_ends_with_its_verdicts_and_links(place: Platform) -> None:
    said = place.run("demo", "--home", str(place.home))
    for name, label in SHOWN.items():
        assert re.search(rf"^{re.escape(name)} +{label}\.", said, re.MULTILINE), said
    assert "gpu-0 is simulated" in said
    (votes,) = re.findall(r"^ +votes\.png: (http\S+)$", said, re.MULTILINE)
    assert httpx.get(votes, timeout=10).content.startswith(b"\x89PNG")


def test_status_kubectl_logs_and_the_account_tell_of_the_same_platform(place: Platform) -> None:
    place.up()
    states = {p["name"]: p["state"] for p in json.loads(place.run("status", "--json"))}
    assert states == dict.fromkeys(platform.NAMES, "ready")
    mine = json.loads(place.run("list", "--json"))
    assert {m["filename"]: m["verdict"]["label"] for m in mine} == SHOWN
    resources = json.loads(place.run("kubectl", "get", "ma", "-o", "json"))["items"]
    assert {r["spec"]["runId"]: r["status"]["phase"] for r in resources} == {m["latestRunId"]: "ANALYZED" for m in mine}
    lines = place.run("logs", "api", "-n", "5").splitlines()
    assert [json.loads(line)["process"] for line in lines] == ["api"] * 5
    assert place.run("kubectl", "get", "ma", "no-such-one", code=1) == ""


def test_analyze_prints_nothing_but_json_and_says_by_its_code_how_it_ended(
    place: Platform, demo_media: dict[str, DemoFile]
) -> None:
    place.log_in()
    (seen,) = json.loads(place.run("analyze", "--json", str(demo_media["picture"].path)))
    assert (seen["status"], seen["verdict"]["label"]) == ("ANALYZED", "FAKE")
    assert json.loads(place.run("show", seen["id"], "--json"))["verdict"] == seen["verdict"]
    assert place.run("analyze", "--json", __file__, code=5) == ""


def test_ctrl_c_stops_the_watching_and_not_the_analysis(place: Platform, demo_media: dict[str, DemoFile]) -> None:
    place.log_in()
    command = [sys.executable, "-m", "drishtiksha_cli.main", "analyze", str(demo_media["clip"].path)]
    watching = subprocess.Popen(
        command, env=place.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place.home.parent
    )
    assert watching.stdout is not None
    assert "clip.mp4" in watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=30)
    assert watching.returncode == 130, said
    (media_id,) = re.findall(r"drishtiksha watch (\S+)", said)
    place.run("watch", media_id)
    assert json.loads(place.run("show", media_id, "--json"))["status"] == "ANALYZED"


def test_kill_9_of_everything_in_the_middle_of_three_uploads_then_up_and_all_ends_right(
    place: Platform, demo_media: dict[str, DemoFile]
) -> None:
    person, uploaded = _three_under_way(place, demo_media)
    for process in place.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # it died with its parent
            process.kill()
    wait_for("all to be dead", lambda: not place.processes(), 20)

    place.run("up", "--home", str(place.home))
    _all_end_right(place, person, uploaded)


@pytest.mark.kill
@pytest.mark.parametrize("victim", [*platform.NAMES, "supervisor"])
def test_kill_9_of_any_one_process_in_mid_run_then_up_and_all_ends_right(
    place: Platform, demo_media: dict[str, DemoFile], victim: str
) -> None:
    place.up()
    person, uploaded = _three_under_way(place, demo_media)
    pids = {p["name"]: p["pid"] for p in platform.status(place.home)} | {"supervisor": place.processes()[0].pid}
    os.kill(pids[victim], signal.SIGKILL)

    place.run("up", "--home", str(place.home))
    _all_end_right(place, person, uploaded)


def test_down_leaves_no_process_behind_and_up_finds_the_data_again(place: Platform) -> None:
    place.up()
    before = place.sql("SELECT count(*) FROM media")
    assert "operator" in place.run("down", "--home", str(place.home))
    assert place.processes() == []
    assert "No platform runs" in place.run("status", code=1)
    assert "cannot be reached" not in place.run("up", "--home", str(place.home))
    assert place.sql("SELECT count(*) FROM media") == before


def test_a_killed_supervisor_takes_everything_with_it_and_down_with_data_removes_the_rest(place: Platform) -> None:
    place.up()
    supervisor, *others = place.processes()
    assert "drishtiksha_devcluster.supervisor" in supervisor.cmdline()
    assert len(others) >= len(platform.NAMES)
    supervisor.kill()
    wait_for("the others to end", lambda: not place.processes(), 30)
    data = postgres.data_folder(place.home)
    assert data.exists()
    place.run("down", "--data", "--home", str(place.home))
    assert not data.exists()
    assert not place.home.exists(), sorted(place.home.iterdir())


def _phase(place: Platform, run_id: str) -> str:
    found = json.loads(place.run("kubectl", "get", "ma", f"ma-{run_id}", "-o", "json"))
    return str(found.get("status", {}).get("phase"))


def _three_under_way(place: Platform, demo_media: dict[str, DemoFile]) -> tuple[Person, dict[str, str]]:
    """Somebody new whose three uploads are being examined: the media's ids by file name."""
    place.up()
    person = Person(place.place("BASE_URL"))
    uploaded = {name: person.upload(demo_media[Path(name).stem].path)["id"] for name in VERDICTS}
    wait_for("work to be under way", lambda: any(person.media(i)["status"] == "PROCESSING" for i in uploaded.values()))
    return person, uploaded


def _all_end_right(place: Platform, person: Person, uploaded: dict[str, str]) -> None:
    """REST, SQL, the resources and the events tell the three verdicts, and the witness finds nothing."""
    for name, media_id in uploaded.items():
        rest = person.wait(media_id, 120)
        assert (rest["status"], rest["verdict"]["label"]) == ("ANALYZED", VERDICTS[name])
        rows = place.sql(
            "SELECT m.status, r.status, r.verdict, a.status FROM media m JOIN analysis_runs r ON r.media_id = m.id "
            "JOIN analyses a ON a.run_id = r.id WHERE m.id = %s",
            media_id,
        )
        assert set(rows) == {("ANALYZED", "ANALYZED", VERDICTS[name], "COMPLETED")}
        assert len(rows) == len(rest["analyses"]) == MODELS[name]
        run = rest["latestRunId"]
        wait_for(f"the resource of {name}", lambda run=run: _phase(place, run) == "ANALYZED", 30)
    seqs = place.sql("SELECT seq FROM events WHERE user_id = %s ORDER BY seq", person.id)
    assert [seq for (seq,) in seqs] == list(range(1, len(seqs) + 1))
    assert not place.sql("SELECT 1 FROM media WHERE NOT status = ANY(%s)", list(TERMINAL))
    person.close()
    place.run("verify")
