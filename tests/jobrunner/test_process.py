"""The real command as the pod starts it: exit codes, signals, what it prints and what it leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from drishtiksha_jobrunner.environment import read
from drishtiksha_jobrunner.journal import HIDDEN


def ended(popen: subprocess.Popen) -> tuple[int, list[dict]]:
    out, err = popen.communicate(timeout=60)
    assert out == b""
    return popen.returncode, [json.loads(line) for line in err.decode().splitlines()]


def test_a_good_attempt_exits_0_and_prints_only_json_without_secrets(process, door, service, environ, tmp_path):
    code, lines = ended(process())
    assert code == 0
    assert len(door.results) == 1
    assert {"time", "level", "process", "event"} <= lines[0].keys()
    text = json.dumps(lines)
    assert environ["DRISHTIKSHA_ATTEMPT_TOKEN"] not in text
    assert environ["SERVER_API_KEY"] not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "detail", "code", "error_class"),
    [(415, "not supported", 65, "BAD_MEDIA"), (500, "oops", 69, "ML_UNAVAILABLE"), (404, "none", 76, "ML_CONTRACT")],
)
def test_each_class_of_failure_has_its_exit_code(
    status, detail, code, error_class, process, door, service, environ, reply, tmp_path
):
    said = f"{detail} {environ['SERVER_API_KEY']} {environ['DRISHTIKSHA_ATTEMPT_TOKEN']}"
    service.script["analyze"] = [reply(status, {"detail": said})]
    got, lines = ended(process())
    assert got == code
    (failure,) = door.failures
    assert failure.error_class == error_class
    text = json.dumps(lines) + failure.model_dump_json()
    assert environ["SERVER_API_KEY"] not in text
    assert environ["DRISHTIKSHA_ATTEMPT_TOKEN"] not in text
    assert HIDDEN in text
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_says_a_megabyte_is_quoted_briefly(process, door, service, reply):
    service.script["analyze"] = [reply(500, {"detail": "x" * 1_000_000})]
    door.script["failure"] = [reply(422, "y" * 1_000_000)]
    got, lines = ended(process())
    assert got == 70
    assert max(len(json.dumps(line)) for line in lines) < 5000
    (handed_in,) = door.asked("failure")
    assert len(handed_in.body) < 10_000


def test_an_internal_fault_exits_70(process, door, service):
    door.assignment["media"]["sha256"] = "0" * 64
    assert ended(process())[0] == 70
    assert door.failures[0].error_class == "INTERNAL"


def test_a_fenced_attempt_exits_77(process, door, service, reply):
    door.script["attempt"] = [reply(409, '{"code": "FENCED"}')]
    assert ended(process())[0] == 77


def test_a_missing_setting_exits_70_with_a_sentence_that_names_it(process, door, service):
    code, lines = ended(process(SERVER_URL=""))
    assert code == 70
    assert "SERVER_URL" in lines[-1]["event"]
    assert door.calls == []


@pytest.mark.parametrize("where", ["media", "analyze"])
def test_sigterm_hands_in_nothing_leaves_no_file_and_exits_143(where, process, door, service, reply, tmp_path):
    door.assignment["secondsLeft"] = 60.0
    door.script["media"] = [reply(body=door.media, pieces=((70_000, 30.0),))] if where == "media" else []
    service.script["analyze"] = [reply(body=service.answer, after=30.0)]
    popen = process()
    while not (door if where == "media" else service).asked(where):
        time.sleep(0.02)
    while not any(tmp_path.rglob("media")):
        time.sleep(0.02)
    popen.send_signal(signal.SIGTERM)
    assert ended(popen)[0] == 143
    assert door.results == []
    assert door.failures == []
    assert list(tmp_path.iterdir()) == []


def test_the_runner_starts_without_the_heavy_libraries():
    told = "import sys, drishtiksha_jobrunner.run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split()
    assert "httpx" in loaded
    assert not {"pydantic", "structlog", "sqlalchemy", "redis", "kubernetes", "numpy"} & set(loaded)


def test_secrets_are_not_in_the_repr_of_the_environment(environ):
    assert environ["SERVER_API_KEY"] not in repr(read(environ))
    assert environ["DRISHTIKSHA_ATTEMPT_TOKEN"] not in repr(read(environ))
