"""The runner with the reference model service, both as real processes: what the one says the other understands."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

KEY = "ml-key-0123456789abcdef"


@pytest.fixture(scope="module")
def reference() -> Iterator[str]:
    """The address of a model service that offers PROVENANCE-V1 and JPEG-GRID-V1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {"PATH": os.environ["PATH"], "PORT": str(port), "SERVER_API_KEY": KEY, "WORKERS": "1"}
    env["ACTIVE_MODELS"] = "PROVENANCE-V1,JPEG-GRID-V1"
    command = [sys.executable, "-m", "drishtiksha_models.main", "serve"]
    running = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert running.poll() is None
            try:
                if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield url
    finally:
        running.terminate()
        running.wait(30)


def picture() -> bytes:
    made = io.BytesIO()
    Image.radial_gradient("L").resize((320, 240)).convert("RGB").save(made, "PNG")
    return made.getvalue()


@pytest.mark.parametrize(
    ("model", "artifacts"),
    [("PROVENANCE-V1", {"ml-response.json.gz"}), ("JPEG-GRID-V1", {"ml-response.json.gz", "votes.png"})],
)
def test_an_answer_of_the_reference_service_is_a_result(model, artifacts, reference, process, door):
    bytes_of = door.media = picture()
    door.assignment["analysis"]["model"] = model
    door.assignment["media"] |= {
        "type": "IMAGE", "mimetype": "image/png",
        "size": len(bytes_of), "sha256": hashlib.sha256(bytes_of).hexdigest(),
    }  # fmt: skip
    popen = process(SERVER_URL=reference)
    assert popen.wait(60) == 0
    (result,) = door.results
    assert (result.model, result.prediction, result.finding) == (model, "INCONCLUSIVE", "NONE")
    assert result.inconclusive_reason
    assert result.limits
    assert result.system_info is not None
    assert result.system_info.server_version == "3.0.0"
    assert set(door.artifacts) == set(result.artifacts) == artifacts
    assert {p.event for p in door.progress} <= {"FRAME_ANALYSIS_PROGRESS"}


def test_a_file_that_the_reference_service_cannot_decode_is_bad_media(reference, process, door):
    bytes_of = door.media = picture()[:300]
    door.assignment["analysis"]["model"] = "JPEG-GRID-V1"
    door.assignment["media"] |= {
        "type": "IMAGE", "mimetype": "image/png",
        "size": len(bytes_of), "sha256": hashlib.sha256(bytes_of).hexdigest(),
    }  # fmt: skip
    assert process(SERVER_URL=reference).wait(60) == 65
    assert door.failures[0].error_class == "BAD_MEDIA"


def test_a_wrong_key_is_a_broken_contract_and_not_repeated(reference, process, door):
    door.assignment["analysis"]["model"] = "PROVENANCE-V1"
    assert process(SERVER_URL=reference, SERVER_API_KEY="wrong").wait(60) == 76
    assert "401" in door.failures[0].message
