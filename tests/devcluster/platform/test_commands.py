"""What a person sees of up, down, status, logs and kubectl. (It stands here, beside what the commands drive.)"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from drishtiksha_cli import platform as commands
from drishtiksha_devcluster import dotenv, platform
from drishtiksha_devcluster.steps import Said, step


@pytest.fixture
def app() -> typer.Typer:
    found = typer.Typer()
    commands.register(found)
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("DATABASE_URL", "REDIS_URL", "SERVER_URL", "PORT"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    dotenv.make(folder / ".env")
    monkeypatch.setenv("DRISHTIKSHA_HOME", str(folder))
    yield folder
    platform.down(folder, data=True)


def run(app: typer.Typer, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_one_sees_each_step_the_status_the_logs_and_the_end(app: typer.Typer, home: Path) -> None:
    code, text = run(app, "up", "valkey")
    assert code == 0, text
    assert [line.split()[0] for line in text.splitlines()] == ["settings", "supervisor", "services"]
    code, text = run(app, "status")
    assert code == 0
    assert "valkey   ready" in text
    code, text = run(app, "status", "--json")
    assert [p["state"] for p in json.loads(text)] == ["ready"]
    code, text = run(app, "logs", "supervisor", "-n", "1")
    assert json.loads(text)["event"] == "the supervisor is ready"
    assert run(app, "restart", "valkey")[0] == 0
    assert run(app, "down", "valkey")[0] == 0
    assert run(app, "status")[0] == 1
    code, text = run(app, "down")
    assert code == 0
    assert "valkey" in text


def test_where_nothing_runs_each_command_says_what_to_do(app: typer.Typer, home: Path) -> None:
    assert run(app, "status") == (1, f"No platform runs in {home}. Start it with: drishtiksha up\n")
    assert run(app, "kubectl", "get", "ma") == (
        1,
        f"drishtiksha: there is no Kubernetes in {home} yet: drishtiksha up\n",
    )
    code, text = run(app, "logs", "api")
    assert (code, "there is no log of 'api'" in text) == (1, True)
    code, text = run(app, "restart", "api")
    assert (code, "no platform runs in" in text) == (1, True)
    code, text = run(app, "down")
    assert (code, "nothing was running" in text) == (0, True)
    assert "goes with no process name" in run(app, "down", "api", "--data")[1]


def test_a_bad_setting_is_one_sentence_and_no_traceback(app: typer.Typer, home: Path) -> None:
    with (home / ".env").open("a") as file:
        file.write("DRISHTIKSHA_ATEMPTS=1\n")
    code, text = run(app, "up")
    assert code == 1
    assert text.splitlines()[-1] == (
        f"drishtiksha: {home / '.env'}: unknown setting DRISHTIKSHA_ATEMPTS: check the spelling, or remove it"
    )


def test_the_commands_cost_nothing_until_they_are_used() -> None:
    import subprocess

    code = (
        "import sys, typer; from drishtiksha_cli import platform; platform.register(typer.Typer());"
        "print([m for m in sys.modules if m.startswith(('drishtiksha_devcluster', 'psycopg', 'pydantic', 'rich.table'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_step_that_fails_is_said_with_its_time() -> None:
    said: list[Said] = []
    with pytest.raises(ValueError, match="broken"):
        with step("doing", said.append) as now:
            now.going("half", 0.5)
            raise ValueError("broken")
    assert [(s.state, s.text, s.fraction) for s in said] == [
        ("begun", "", None), ("going", "half", 0.5), ("failed", "ValueError", None)
    ]  # fmt: skip
