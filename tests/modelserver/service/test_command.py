"""The command `drishtiksha-models` as a process: quick help, a truthful list, one file, and a clean end by signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from drishtiksha.domain.errors import BadSettings
from drishtiksha.settings import load
from drishtiksha_models.registry import discover
from drishtiksha_models.settings import ModelService

COMMAND = [sys.executable, "-m", "drishtiksha_models.main"]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_help_and_the_service_itself_import_no_heavy_library() -> None:
    code = (
        "import sys, drishtiksha_models.main, drishtiksha_models.app;"
        "print({'numpy', 'cv2', 'av', 'onnxruntime', 'c2pa', 'PIL'} & sys.modules.keys() or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "none"


def test_every_module_in_detectors_is_a_detector_with_stated_limits() -> None:
    entries = discover()
    assert {"PROVENANCE-V1", "JPEG-GRID-V1"} <= {e.name for e in entries}
    for entry in entries:
        assert entry.detector is not None, entry.reason
        assert entry.detector.limits
        assert entry.detector.description


def test_list_tells_which_detectors_load() -> None:
    rows = {row["name"]: row for row in json.loads(_run("list", "--json").stdout)}
    assert rows["JPEG-GRID-V1"]["loaded"] is True
    assert rows["PROVENANCE-V1"]["media_types"] == ["AUDIO", "IMAGE", "VIDEO"]


def test_run_examines_one_file_and_its_exit_code_tells_whose_fault_it_was(tmp_path: Path, image: bytes) -> None:
    picture, text = tmp_path / "a.png", tmp_path / "b.png"
    picture.write_bytes(image)
    text.write_bytes(b"words " * 30)
    done = _run("run", "JPEG-GRID-V1", str(picture), "--json", "--pictures", str(tmp_path / "out"))
    assert done.returncode == 0
    assert json.loads(done.stdout)["finding"] == "NONE"
    assert (tmp_path / "out" / "votes.png").read_bytes().startswith(b"\x89PNG")
    assert "INCONCLUSIVE" in _run("run", "JPEG-GRID-V1", str(picture)).stdout
    assert _run("run", "JPEG-GRID-V1", str(text)).returncode == 65
    assert _run("run", "NO-SUCH-V1", str(picture)).returncode == 64
    assert _run("run", "JPEG-GRID-V1", str(tmp_path / "missing")).returncode == 64


@pytest.mark.parametrize("text", ['["A-V1", "B-V1"]', "A-V1, B-V1", "A-V1,B-V1,"])
def test_active_models_is_a_json_list_or_a_comma_list(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ACTIVE_MODELS", text)
    assert load(ModelService).active_models == ["A-V1", "B-V1"]


@pytest.mark.parametrize(
    ("name", "value"), [("ACTIVE_MODELS", "[broken"), ("PORT", "http"), ("TRUST_ANCHORS", "/no/such/file")]
)
def test_a_bad_setting_is_named_in_the_refusal(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match=name):
        load(ModelService)


@pytest.fixture
def started(scripted: Path, tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], str]]]:
    """Starts `serve` with SCRIPTED-V1 on a free port; returns the process and its address."""
    processes: list[subprocess.Popen[bytes]] = []
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def start() -> tuple[subprocess.Popen[bytes], str]:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        environment = {**os.environ, "PORT": str(port), "ACTIVE_MODELS": "SCRIPTED-V1", "WORKERS": "1",
                       "SERVER_API_KEY": "k", "TMPDIR": str(temporary)}  # fmt: skip
        process = subprocess.Popen([*COMMAND, "serve"], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
        processes.append(process)
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                if httpx.get(f"{address}/readyz").status_code == 200:
                    return process, address
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError("the service did not become ready")

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
    assert list(temporary.glob("drishtiksha-models-*/*")) == []


def _children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _gone(pid: int, seconds: float) -> bool:
    for _ in range(int(seconds * 20)):
        if not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return True
        time.sleep(0.05)
    return False


def _upload(address: str, image: bytes, name: str) -> None:
    """A request whose client leaves after half a second."""
    headers = {"X-API-Key": "k", "Accept": "application/x-ndjson"}
    with pytest.raises(httpx.TimeoutException):
        httpx.post(
            f"{address}/analyze", data={"model": "SCRIPTED-V1"}, files={"media": (name, image)}, headers=headers,
            timeout=0.5,
        )  # fmt: skip


def _metric(address: str, name: str) -> float:
    for line in httpx.get(f"{address}/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(name)


def test_when_the_client_leaves_its_analysis_ends_and_its_file_goes(
    started: Callable[[], tuple[subprocess.Popen[bytes], str]], image: bytes, tmp_path: Path
) -> None:
    process, address = started()
    before = _children(process.pid)
    _upload(address, image, "hang.png")
    for _ in range(100):
        if _metric(address, "drishtiksha_model_requests_in_flight") == 0:
            break
        time.sleep(0.05)
    assert _metric(address, "drishtiksha_model_requests_in_flight") == 0
    assert list((tmp_path / "tmp").glob("drishtiksha-models-*/*")) == []
    assert all(_gone(child, 5) for child in before)


def test_sigterm_ends_the_service_within_ten_seconds_though_a_detector_hangs(
    started: Callable[[], tuple[subprocess.Popen[bytes], str]], image: bytes, tmp_path: Path
) -> None:
    process, address = started()
    children = _children(process.pid)
    with socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1]))) as client:
        client.sendall(_request(image))
        time.sleep(0.7)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
    assert all(_gone(child, 2) for child in children)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_workers_do_not_outlive_a_service_that_was_killed(
    started: Callable[[], tuple[subprocess.Popen[bytes], str]],
) -> None:
    process, _ = started()
    children = _children(process.pid)
    assert children
    process.kill()
    process.wait()
    assert all(_gone(child, 5) for child in children)


def test_files_that_a_killed_service_left_go_when_the_next_starts_and_a_living_one_keeps_its_own(
    started: Callable[[], tuple[subprocess.Popen[bytes], str]], image: bytes, tmp_path: Path
) -> None:
    def files() -> set[Path]:
        return set((tmp_path / "tmp").glob("drishtiksha-models-*/*.png"))

    (killed, address), (alive, other) = started(), started()
    clients = [socket.create_connection(("127.0.0.1", int(a.rsplit(":", 1)[1]))) for a in (address, other)]
    for client in clients:
        client.sendall(_request(image))
    _until(lambda: len(files()) == 2)
    killed.kill()
    killed.wait()
    left = files()
    assert len(left) == 2
    started()
    kept = files()
    assert len(kept) == 1
    assert len(list((tmp_path / "tmp").glob("drishtiksha-models-*"))) == 2
    for client in clients:
        client.close()
    alive.terminate()
    alive.wait(timeout=10)
    assert files() == set()


def _until(true: Callable[[], bool]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never was so")


def _request(image: bytes) -> bytes:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nSCRIPTED-V1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="media"; filename="hang.png"\r\n\r\n' + image + b"\r\n--b--\r\n"
    )
    head = (
        "POST /analyze HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
