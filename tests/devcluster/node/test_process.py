"""Containers as processes: exit codes, signals, memory, and that nothing is left when the node dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from drishtiksha_devcluster.node import census
from drishtiksha_devcluster.node import container as container_module
from drishtiksha_devcluster.node.address import Address
from drishtiksha_devcluster.node.container import Container
from drishtiksha_devcluster.node.launch import Launch
from drishtiksha_devcluster.node.memory import MemoryWatch
from drishtiksha_devcluster.node.probe import passes_startup
from drishtiksha_devcluster.node.process import CannotStart, Process
from drishtiksha_devcluster.node.records import Records, end_all_leftovers, pod_folder
from drishtiksha_devcluster.ports import free_port

HOG = "import time\nhold = bytearray(120_000_000)\ntime.sleep(60)"
UID = "11111111-2222-3333-4444-555555555555"


def launch(folder: Path, *argv: str, **env: str) -> Launch:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(pod_folder(folder, UID)), **env}
    return Launch(argv, environment, folder, folder / "main.log", None)


def shell(folder: Path, script: str) -> Process:
    return Process(launch(folder, "/bin/sh", "-c", script))


async def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 15
    while not true():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    found = census.entry(pid)
    return found is not None and not found.zombie


def state(pid: int) -> str:
    """One letter: R, S, T for stopped, Z …; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


async def child_of(folder: Path) -> int:
    """The pid that a script wrote into the file `child`."""
    file = folder / "child"
    await until(lambda: file.exists() and file.read_text().strip())
    return int(file.read_text())


@pytest.mark.parametrize(
    ("script", "code"), [("true", 0), ("exit 76", 76), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
async def test_the_exit_code_says_how_it_ended(tmp_path: Path, script: str, code: int) -> None:
    assert await shell(tmp_path, script).wait() == code


async def test_a_command_that_does_not_exist_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="/no/such"):
        Process(launch(tmp_path, "/no/such/program"))


async def test_both_outputs_go_to_the_log_and_the_environment_is_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_NODE", "hush")
    await Process(launch(tmp_path, "/bin/sh", "-c", "env; echo err >&2; cat", MINE="yes")).wait()
    log = (tmp_path / "main.log").read_text()
    assert "MINE=yes" in log
    assert "err" in log
    assert "hush" not in log


async def test_what_a_container_started_ends_with_its_first_process(tmp_path: Path) -> None:
    process = shell(tmp_path, "sleep 60 & echo $! > child; sleep 0.2")
    child = await child_of(tmp_path)
    await process.wait()
    await until(lambda: not alive(child))


async def test_kill_ends_children_in_sessions_of_their_own_too(tmp_path: Path) -> None:
    process = shell(tmp_path, "setsid sleep 60 & echo $! > child; wait")
    child = await child_of(tmp_path)
    await until(lambda: (found := census.entry(child)) is not None and found.session == child)
    process.kill()
    assert await process.wait() == 137
    await until(lambda: not alive(child))


async def test_a_frozen_process_does_nothing_until_it_is_thawed(tmp_path: Path) -> None:
    process = shell(tmp_path, "while true; do date +%N >> ticks; sleep 0.02; done")
    ticks = tmp_path / "ticks"
    await until(ticks.exists)
    process.freeze(True)
    await until(lambda: all(state(one.pid) in ("T", "") for one in census.members(process.pid, census.everything())))
    size = ticks.stat().st_size
    await asyncio.sleep(0.2)
    assert ticks.stat().st_size == size
    process.freeze(False)
    await until(lambda: ticks.stat().st_size > size)
    process.kill()
    await process.wait()


async def test_a_child_forked_during_the_census_is_frozen_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = shell(tmp_path, "sleep 60 & echo $! > child; wait")
    child = await child_of(tmp_path)
    everything, looks = census.everything, []

    def before_the_fork_first() -> list[census.Entry]:
        looks.append(1)
        return [found for found in everything() if len(looks) > 1 or found.pid != child]

    monkeypatch.setattr(census, "everything", before_the_fork_first)
    process.freeze(True)
    await until(lambda: state(child) == "T")
    process.kill()
    await process.wait()


async def test_a_container_above_its_memory_limit_is_killed_with_its_children_counted(tmp_path: Path) -> None:
    watch = MemoryWatch()
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}])"
    hog = Process(launch(tmp_path, sys.executable, "-c", script))
    modest = Process(launch(tmp_path, sys.executable, "-c", "import time; time.sleep(60)"))
    watch.add(hog, 100_000_000)
    watch.add(modest, 100_000_000)
    assert await hog.wait() == 137
    assert hog.killed_for_memory
    assert modest.running
    modest.kill()
    assert await modest.wait() == 137
    assert not modest.killed_for_memory
    await watch.close()


async def test_a_log_that_grows_too_far_is_put_aside_and_the_container_writes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_module, "LOG_BYTES", 10)
    one = Container({"name": "main", "image": "x"}, False, "ContainerCreating", lambda: None)
    script = "echo a long first line; until test -e go; do sleep 0.02; done; echo second"
    one.start(launch(tmp_path, "/bin/sh", "-c", script), MemoryWatch())
    log = tmp_path / "main.log"
    await until(log.read_text)
    one.bound_log()
    assert (log.read_text(), (tmp_path / "main.older.log").read_text()) == ("", "a long first line\n")
    (tmp_path / "go").touch()
    await one.ended()
    assert log.read_text() == "second\n"


async def test_the_last_words_of_a_failed_container_are_its_message_where_the_manifest_asks_for_them(
    tmp_path: Path,
) -> None:
    spec = {"name": "main", "image": "x", "terminationMessagePolicy": "FallbackToLogsOnError"}
    one = Container(spec, False, "ContainerCreating", lambda: None)
    one.start(launch(tmp_path, "/bin/sh", "-c", "seq 1000; echo why; exit 70"), MemoryWatch())
    end = await one.ended()
    assert (end.code, end.message.splitlines()[-1]) == (70, "why")
    assert len(end.message) <= 2048


@pytest.mark.parametrize(("port", "passes"), [("web", True), ("none", False)])
async def test_a_startup_probe_asks_until_it_is_answered_or_has_failed_often_enough(port: str, passes: bool) -> None:
    asked: list[str] = []

    async def ready(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=200 if len(asked) > 2 else 503)

    application = web.Application()
    application.router.add_get("/readyz", ready)
    runner = web.AppRunner(application)
    await runner.setup()
    number = free_port()
    await web.TCPSite(runner, "127.0.0.1", number).start()
    container = {"ports": [{"name": "web", "containerPort": number}]}
    probe = {"httpGet": {"path": "/readyz", "port": port}, "periodSeconds": 0.01, "failureThreshold": 3}
    async with aiohttp.ClientSession() as session:
        assert await passes_startup(session, container, probe, "127.0.0.1") is passes
    assert len(asked) == (3 if passes else 0)
    await runner.cleanup()


def test_a_killed_node_takes_its_containers_with_it_and_its_records_find_the_rest(tmp_path: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from drishtiksha_devcluster.node.launch import Launch
from drishtiksha_devcluster.node.process import Process
from drishtiksha_devcluster.node.records import Records
async def main():
    folder = Path({str(tmp_path)!r})
    env = {{"PATH": "/usr/bin:/bin", "HOME": str(folder / "pods" / {UID!r})}}
    started = Process(Launch(("/bin/sh", "-c", "sleep 60 & echo $! > child; wait"), env, folder, folder / "log", None))
    Records(folder, "cpu-0").write({UID!r}, {{"main": started}})
    (folder / "main").write_text(str(started.pid))
    await started.wait()
asyncio.run(main())
"""
    node = subprocess.Popen([sys.executable, "-c", program])
    main, child = asyncio.run(_pids(tmp_path))
    node.send_signal(signal.SIGKILL)
    node.wait()
    asyncio.run(until(lambda: not alive(main)))
    assert alive(child), "the kernel ends only the first process"
    assert end_all_leftovers(tmp_path) == 1
    asyncio.run(until(lambda: not alive(child)))
    assert end_all_leftovers(tmp_path) == 0


async def _pids(folder: Path) -> tuple[int, int]:
    child = await child_of(folder)
    file = folder / "main"
    await until(lambda: file.exists() and file.read_text())
    return int(file.read_text()), child


async def test_a_process_that_only_has_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    stranger = shell(tmp_path, "sleep 60")
    records = Records(tmp_path, "cpu-0")
    stranger.born -= 1
    records.write(UID, {"main": stranger})
    assert records.end_leftovers() == [UID]
    assert stranger.running
    assert alive(stranger.pid)
    stranger.kill()
    await stranger.wait()


def test_a_forgotten_pod_leaves_no_folder_and_no_record(tmp_path: Path) -> None:
    records = Records(tmp_path, "cpu-0")
    pod_folder(tmp_path, UID).mkdir(parents=True)
    records.write(UID, {})
    records.forget(UID)
    assert not pod_folder(tmp_path, UID).exists()
    assert records.end_leftovers() == []


def test_two_pods_never_have_one_address() -> None:
    first, second = Address("same"), Address("same")
    assert first.text != second.text
    wanted = first.text
    first.release()
    third = Address("same")
    assert third.text == wanted
    second.release()
    third.release()


def test_the_census_reads_names_with_spaces_and_brackets(tmp_path: Path) -> None:
    program = tmp_path / "odd ) name ("
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"], start_new_session=True)
    try:
        found = census.entry(process.pid)
        assert found is not None
        assert (found.parent, found.session) == (os.getpid(), process.pid)
    finally:
        process.kill()
        process.wait()
