"""The supervisor with small real processes: order, readiness, restarts, and that nothing outlives it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drishtiksha_devcluster.control import Control, ControlFailed
from drishtiksha_devcluster.ports import free_port
from drishtiksha_devcluster.process import ProcessSpec, Trace, alive, trace

SLEEP = "import time; print('alive', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
SERVE = (
    "import http.server, sys, time; time.sleep(float(sys.argv[2]));"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"
)


def python(name: str, code: str, *arguments: str, **fields: Any) -> ProcessSpec:
    return ProcessSpec(name=name, argv=(sys.executable, "-S", "-c", code, *arguments), env={}, **fields)


def eventually(claim: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    found = Control(tmp_path / "home")
    (tmp_path / "home/run").mkdir(parents=True)
    found.start_supervisor(first_pause=0.02)
    yield found
    found.shut_down()
    assert not found.running()


def one(control: Control, name: str, lines: int = 0) -> dict[str, Any]:
    return next(p for p in control.status(lines=lines) if p["name"] == name)


def seen(control: Control, name: str) -> Trace:
    found = trace(one(control, name)["pid"])
    assert found is not None
    return found


def test_a_process_is_ready_only_when_its_address_says_so_and_its_dependent_starts_after_that(control: Control) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    control.add(python("late", SLEEP, needs=("server",)))
    control.add(python("server", SERVE, str(port), "0.6", ready=url))
    assert eventually(lambda: one(control, "late")["reason"] == "waits for server")
    both = control.wait(["server", "late"], 20)
    assert [p["state"] for p in both] == ["ready", "ready"]
    assert both[0]["since"] <= both[1]["since"]


def test_a_process_that_is_killed_is_started_again(control: Control) -> None:
    control.add(python("worker", SLEEP))
    control.wait(["worker"], 10)
    first = seen(control, "worker")
    os.kill(first.pid, signal.SIGKILL)
    again = {"state": "ready", "restarts": 1}
    assert eventually(lambda: again.items() <= one(control, "worker").items())
    assert one(control, "worker")["pid"] != first.pid
    assert one(control, "worker")["exit"] == "ended by SIGKILL"


def test_five_deaths_within_a_minute_and_it_stays_down_with_its_last_words(control: Control) -> None:
    control.add(python("bad", "print('the cause', flush=True); raise SystemExit(3)"))
    described = control.wait(["bad"], 20)[0]
    assert described["state"] == "down"
    assert "died 5 times within a minute (exit 3)" in described["reason"]
    assert described["last_lines"][-1] == "the cause"
    assert Path(described["log"]).read_text().count("the cause") == 5
    control.call("start", name="bad")  # a person asks again: five new tries
    assert control.wait(["bad"], 20)[0]["state"] == "down"
    assert Path(described["log"]).read_text().count("the cause") == 10


def test_a_command_that_does_not_exist_is_said_in_its_log(control: Control) -> None:
    control.add(ProcessSpec(name="none", argv=("/no/such/command",), env={}))
    described = control.wait(["none"], 20)[0]
    assert described["state"] == "down"
    assert "/no/such/command could not be started" in described["last_lines"][-1]


def test_a_process_that_does_not_hear_sigterm_is_killed_after_its_grace(control: Control) -> None:
    control.add(python("deaf", DEAF, grace=0.3))
    assert eventually(
        lambda: (control.home / "logs/deaf.log").exists() and "deaf" in (control.home / "logs/deaf.log").read_text()
    )
    deaf = seen(control, "deaf")
    control.call("stop", name="deaf")
    assert not alive(deaf)
    assert one(control, "deaf")["state"] == "stopped"


def test_a_stopped_process_stays_stopped_until_it_is_started(control: Control) -> None:
    control.add(python("worker", SLEEP))
    control.wait(["worker"], 10)
    control.call("stop", name="worker")
    time.sleep(0.3)
    assert one(control, "worker")["state"] == "stopped"
    control.call("start", name="worker")
    assert control.wait(["worker"], 10)[0]["state"] == "ready"


def test_the_same_spec_again_changes_nothing_and_another_restarts_it(control: Control) -> None:
    assert control.add(python("worker", SLEEP)) == "new"
    control.wait(["worker"], 10)
    first = seen(control, "worker")
    assert control.add(python("worker", SLEEP)) == "same"
    assert alive(first)
    assert control.add(python("worker", SLEEP, "changed")) == "changed"
    control.wait(["worker"], 10)
    assert not alive(first)


def test_what_a_process_leaves_behind_ends_with_it(control: Control, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "left = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
        "open(sys.argv[1], 'w').write(str(left.pid)); time.sleep(600)"
    )
    control.add(python("parent", code, str(note)))
    assert eventually(lambda: note.exists() and note.read_text() != "")
    left = trace(int(note.read_text()))
    assert left is not None
    control.call("stop", name="parent")
    assert eventually(lambda: not alive(left))


def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_one_goes_on(control: Control) -> None:
    control.add(python("worker", SLEEP))
    control.add(python("deaf", DEAF))
    control.wait(["worker", "deaf"], 10)
    children = [seen(control, "worker"), seen(control, "deaf")]
    os.kill(control.call("status")["pid"], signal.SIGKILL)
    assert eventually(lambda: not any(alive(child) for child in children))
    assert eventually(lambda: not control.running())
    with pytest.raises(ControlFailed, match="no platform runs in"):
        control.status()
    control.start_supervisor(first_pause=0.02)
    assert control.status() == []


def test_leftovers_are_found_by_pid_and_start_time_and_a_stranger_with_the_pid_is_left_alone(control: Control) -> None:
    control.add(python("worker", SLEEP))
    control.wait(["worker"], 10)
    worker = seen(control, "worker")
    pids = control.home / "run/pids.json"
    genuine = pids.read_text()
    os.kill(control.call("status")["pid"], signal.SIGKILL)
    assert eventually(lambda: not alive(worker))
    stranger = trace(os.getpid())
    assert stranger is not None
    pids.write_text(genuine.replace(f"[{worker.pid}, {worker.started}]", f"[{stranger.pid}, {worker.started + 10**9}]"))
    assert control.end_leftovers() == []
    assert alive(stranger)


def test_stopping_all_goes_from_dependents_to_what_they_need(control: Control, tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(0.2); open(sys.argv[1], 'a').write(sys.argv[2] + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop); print('up', flush=True)\n"
        "while True: time.sleep(0.05)"
    )
    control.add(python("base", code, str(order), "base"))
    control.add(python("middle", code, str(order), "middle", needs=("base",)))
    control.add(python("top", code, str(order), "top", needs=("middle",)))
    assert {p["state"] for p in control.wait(["base", "middle", "top"], 20)} == {"ready"}
    logs = [control.home / f"logs/{name}.log" for name in ("base", "middle", "top")]
    assert eventually(lambda: all("up" in log.read_text() for log in logs))
    control.shut_down()
    assert order.read_text().split() == ["top", "middle", "base"]


def test_a_second_supervisor_for_the_same_folder_is_refused(control: Control) -> None:
    command = [sys.executable, "-m", "drishtiksha_devcluster.supervisor", "--home", str(control.home)]
    second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert "another supervisor holds" in second.stderr


def test_the_socket_works_in_a_folder_with_a_long_path_and_is_closed_to_others(tmp_path: Path) -> None:
    home = tmp_path / ("a" * 90) / ("b" * 90)
    (home / "run").mkdir(parents=True)
    control = Control(home)
    control.start_supervisor()
    try:
        assert control.status() == []
        assert os.stat(home / "run/supervisor.sock").st_mode & 0o077 == 0
    finally:
        control.shut_down()


def test_nonsense_on_the_socket_gets_an_answer_and_does_no_harm(control: Control) -> None:
    with pytest.raises(ControlFailed, match="unknown request"):
        control.call("dance")
    with pytest.raises(ControlFailed, match="no process 'nobody'; there are: none"):
        control.call("stop", name="nobody")
    with socket.socket(socket.AF_UNIX) as raw:
        descriptor = os.open(control.home / "run", os.O_RDONLY)
        raw.connect(f"/proc/self/fd/{descriptor}/supervisor.sock")
        raw.sendall(b"[1, 2\n")
        assert b'"ok": false' in raw.recv(1000)
        os.close(descriptor)
    assert control.status() == []
