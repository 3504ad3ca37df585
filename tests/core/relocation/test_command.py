"""`drishtiksha-migrate objects` as a person runs it: words on stderr, JSON on stdout, and killed in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from s3_server import S3Server
from stored_platform import Platform, held

from drishtiksha.objects.providers import open_objects


def started(platform: Platform, *words: str, **more: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DRISHTIKSHA_", "AWS_"))}
    folder = platform.objects.path("media/x").parents[1]
    environment |= {"DATABASE_URL": platform.url, "LOCAL_STORAGE_PATH": str(folder), **more}
    command = [sys.executable, "-m", "drishtiksha.database.migrate", "objects", *words]
    return subprocess.Popen(
        command, env=environment, cwd=folder.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


async def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = await asyncio.to_thread(process.communicate, timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("words", "more", "sentence"),
    [
        (("--from", "local", "--to", "local"), {}, "--from and --to both name local"),
        (("--from", "local", "--to", "s3"), {}, "DRISHTIKSHA_S3_BUCKET is not set"),
    ],
)
async def test_a_bad_wish_ends_with_two_and_a_sentence(platform: Platform, words, more, sentence: str) -> None:
    code, out, err = await ended(started(platform, *words, **more))
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.s3
async def test_a_platform_moves_to_s3_although_the_command_is_killed_in_its_middle(
    platform: Platform, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ada = await platform.stores.user()
    for number in range(24):
        media = await platform.upload(ada, 6_000_000 if number % 8 == 0 else 50_000)
        if number % 5 == 0:
            await platform.artifact(media)
    words = ("--from", "local", "--to", "s3")

    # Killed while some are there, some are not, and some are on their way.
    with FaultProxy.before(s3.url) as proxy:
        proxy.slow(0.01)
        process = started(platform, *words, **s3.settings(folder="moved", url=proxy.instead_of(s3.url)))
        give_up = time.monotonic() + 60
        while sum(path.endswith("/original") for path in s3.files()) < 5:
            assert process.poll() is None
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)
        process.kill()
        await ended(process)
    for name, value in s3.settings(folder="moved").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    target = open_objects()
    before = await held(target)
    assert 5 <= len(before) < len(platform.kept)
    assert before.items() <= platform.kept.items()

    # Again: the rest, and nothing twice.
    code, out, err = await ended(started(platform, *words, **s3.settings(folder="moved")))
    told = json.loads(out)
    assert (code, told["complete"], told["missing"], told["damaged"]) == (0, True, 0, 0)
    assert (told["alreadyThere"], told["copied"]) == (len(before), len(platform.kept) - len(before))
    assert f"{len(platform.kept)} of {len(platform.kept)} objects" in err
    assert await held(target) == platform.kept
    assert "canary" not in out + err

    # And back, into an empty folder.
    for key in platform.kept:
        await platform.objects.delete(key)
    code, out, _ = await ended(started(platform, "--from", "s3", "--to", "local", **s3.settings(folder="moved")))
    assert (code, json.loads(out)["copied"]) == (0, len(platform.kept))
    assert await held(platform.objects) == platform.kept


@pytest.mark.s3
async def test_a_missing_object_ends_with_one_and_is_named(platform: Platform, s3: S3Server) -> None:
    ada = await platform.stores.user()
    lost = (await platform.upload(ada)).object_key
    await platform.upload(ada)
    platform.objects.path(lost).unlink()
    code, out, _ = await ended(started(platform, "--from", "local", "--to", "s3", **s3.settings(folder="lost")))
    told = json.loads(out)
    assert (code, told["complete"], told["missingKeys"], told["copied"]) == (1, False, [lost], 1)


async def test_a_store_that_is_away_ends_with_one_and_says_that_it_goes_on(platform: Platform) -> None:
    nowhere = S3Server("http://127.0.0.1:9", Path("/"))
    code, out, err = await ended(started(platform, "--from", "local", "--to", "s3", **nowhere.settings()))
    assert (code, out) == (1, "")
    assert "Start it again: it goes on where it stopped." in err
    assert "Traceback" not in err
