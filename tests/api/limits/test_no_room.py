"""No space, a disk that fails, no descriptor left: 503 that says who is away, nothing left, and all is well afterwards."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from api_samples import picture
from figures import Claim
from PIL import Image

KIB = 1024
PICTURE = picture("PNG")


def noise(side: int) -> bytes:
    """A picture that cannot be packed: about 3 × side² bytes of PNG."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def small_disk(world: Any) -> Iterator[Any]:
    """The object store on a file system of its own, with 256 KiB; call it to make it larger."""
    folder = world.objects_path
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield lambda: subprocess.run(["mount", "-o", "remount,size=4m", folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)


async def put_artifact(world: Any, token: dict[str, str], data: bytes) -> Any:
    declared = {"Content-Type": "image/png", "X-Kind": "heatmap", "X-Content-SHA256": hashlib.sha256(data).hexdigest()}
    return await world.door.put("/attempt/artifacts/a.png", headers={**token, **declared}, content=data)


async def test_a_full_disk_refuses_uploads_and_artifacts_and_keeps_nothing_of_them(
    world: Any, small_disk: Any, figures: dict[str, Any]
) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await world.frozen(media["latestRunId"], "M1")
    token = (await world.attempt_tokens(media["latestRunId"]))["M1"]
    assert (await world.door.get("/attempt", headers=token)).status_code == 200
    stored, large = world.stored_files(), noise(300)
    assert len(large) > 256 * KIB
    for _ in range(2):
        refused = await world.upload(ada, large)
        assert (refused.status_code, refused.json()["details"]) == (503, {"what": "objects"})
        assert int(refused.headers["retry-after"]) >= 1
        assert world.stored_files() == stored
        shut = await put_artifact(world, token, large)
        assert (shut.status_code, shut.json()["details"]) == (503, {"what": "objects"})
        assert world.stored_files() == stored
    assert len((await world.client.get("/api/v1/media", headers=ada)).json()["data"]) == 1
    result = {"protocol": 1, "model": "M1", "prediction": "INCONCLUSIVE", "artifacts": ["a.png"]}
    early = await world.door.put("/attempt/result", headers=token, json=result)
    assert early.status_code == 400, "it lists an artifact that was never stored"
    small_disk()
    assert (await put_artifact(world, token, large)).status_code == 200
    assert (await world.door.put("/attempt/result", headers=token, json=result)).json() == {"accepted": True}
    assert (await world.upload(ada, large)).status_code == 202
    figures["disk"] = Claim(
        "uploads and artifacts on a file system that is full",
        "503 that says `objects`; no file, no folder, no row; all is well with more room",
        "4 of 4 refused, nothing left, then 202, and the result with its artifact",
        True,
        "an object whose folder could not be flushed stayed: red (a file is left)",
    )


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
async def test_a_disk_that_cannot_flush_accepts_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    ada = await world.person()
    real, calls, fails_at = os.fsync, 0, 0
    number = getattr(errno, error)

    def flush(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr(os, "fsync", flush)
    refusals = 0
    while True:
        calls, fails_at = 0, fails_at + 1
        answer = await world.upload(ada, PICTURE)
        if answer.status_code == 202:
            break
        refusals += 1
        assert (answer.status_code, answer.json()["details"]) == (503, {"what": "objects"})
        assert world.stored_files() == []
        assert (await world.client.get("/api/v1/media", headers=ada)).json()["data"] == []
        assert not await world.api.dispatcher.once()
    assert refusals >= 2  # the bytes, and at least one folder


@contextmanager
def descriptors(spare: int) -> Iterator[None]:
    """Only so many more descriptors than now may be open in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.dup(0)]
    while len(opened) <= spare:
        opened.append(os.dup(0))
    for one in opened:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[-1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_descriptors_an_upload_is_refused_and_leaves_nothing(world: Any, figures: dict[str, Any]) -> None:
    ada = await world.person()
    warm = (await world.upload(ada, PICTURE)).json()["data"]
    stored, refusals = world.stored_files(), []
    for spare in range(12):
        with descriptors(spare):
            answer = await world.upload(ada, PICTURE)
        if answer.status_code == 202:
            break
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        refusals.append(answer.json()["details"]["what"])
        assert world.stored_files() == stored
        shown = (await world.client.get("/api/v1/media", headers=ada)).json()["data"]
        assert [media["id"] for media in shown] == [warm["id"]]
    assert answer.status_code == 202
    assert "objects" in refusals
    assert set(refusals) <= {"objects", "postgres", "ml"}, "what the contract names"
    figures["descriptors"] = Claim(
        "an upload while the api has 0, 1, 2 … descriptors left",
        "503 with Retry-After until there are enough; nothing left",
        f"{len(refusals)} × 503, then 202; no file, no row left",
        True,
        "a child that cannot be started was INTERNAL: red (500)",
    )
