"""An upload is stored once, told by its content, and leaves nothing behind when it is refused."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import api_samples as samples
import pytest

from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects.local import LocalObjects
from drishtiksha_api import pace
from drishtiksha_api.intake.probe import Prober
from drishtiksha_api.intake.upload import Intake, Received
from drishtiksha_api.problems import Problem

LIMIT = 300_000
BOUNDARY = "b0undary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
Field = tuple[str, str | None, bytes]


def body(*fields: Field) -> bytes:
    out = b""
    for name, filename, data in fields:
        file = f'; filename="{filename}"' if filename is not None else ""
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


async def drip(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    return Intake(LocalObjects(tmp_path), Prober(), LIMIT)


async def receive(intake: Intake, *fields: Field, size: int = 1000, content_type: str = TYPE) -> Received:
    return await intake.receive(uuid.uuid4(), content_type, None, drip(body(*fields), size))


def left(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", list(samples.accepted()))
async def test_the_type_follows_the_streams_whatever_the_name_says(intake: Intake, name: str) -> None:
    data, mimetype, media_type = samples.accepted()[name]
    got = await receive(intake, ("file", "holiday.pdf", data))
    assert (got.probe.mimetype, got.probe.media_type) == (mimetype, media_type)
    assert (got.stored.size, got.stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert got.filename == "holiday.pdf"
    facts = {"VIDEO": got.probe.video, "IMAGE": got.probe.image, "AUDIO": got.probe.audio}[media_type]
    assert facts is not None


@pytest.mark.parametrize("name", list(samples.refused()))
async def test_what_is_no_media_is_refused_and_leaves_nothing(intake: Intake, tmp_path: Path, name: str) -> None:
    data, code = samples.refused()[name]
    with pytest.raises(Problem) as refused:
        await receive(intake, ("file", "film.mp4", data))
    assert refused.value.code == code
    assert left(tmp_path) == []


async def test_facts_of_a_film_are_those_of_the_film(intake: Intake) -> None:
    got = await receive(intake, ("file", "a.mp4", samples.clip("mp4")))
    assert got.probe.video is not None
    assert (got.probe.video.width, got.probe.video.height, got.probe.video.codec) == (64, 48, "h264")
    assert got.probe.video.duration == pytest.approx(0.5, abs=0.1)
    assert got.probe.has_audio
    silent = await receive(intake, ("file", "a.mp4", samples.clip("mp4", audio=None)))
    assert not silent.probe.has_audio


@pytest.mark.parametrize("size", [1, 17, 100_000])
async def test_fields_may_come_in_any_order_and_chunks_of_any_size(intake: Intake, size: int) -> None:
    picture = samples.picture("PNG")
    early = await receive(intake, ("description", None, b"seen"), ("file", "a.png", picture), size=size)
    late = await receive(
        intake, ("media", "b.png", picture), ("other", None, b"x"), ("description", None, "spät".encode()), size=size
    )
    assert (early.description, late.description) == ("seen", "spät")
    assert early.stored == late.stored


PNG = samples.picture("PNG")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([], "FILE_REQUIRED"),
        ([("description", None, b"only words")], "FILE_REQUIRED"),
        ([("file", None, PNG)], "FILE_REQUIRED"),
        ([("file", "a.png", b"")], "EMPTY_FILE"),
        ([("file", "a.png", PNG), ("media", "b.png", PNG)], "TOO_MANY_FILES"),
        ([("avatar", "a.png", PNG)], "VALIDATION"),
        ([("file", "a.png", PNG), ("description", None, b"x" * 2001)], "VALIDATION"),
        ([("file", "a.png", PNG), ("description", None, b"\xff\xfe")], "VALIDATION"),
        ([("file", "a.png", PNG), ("description", None, b"a\x00b")], "VALIDATION"),
        ([("file", "a.png", PNG + bytes(LIMIT))], "TOO_LARGE"),
        ([(f"f{i}", None, b"x") for i in range(40)], "VALIDATION"),
    ],
)
async def test_a_bad_form_is_refused_with_its_code_and_leaves_nothing(
    intake: Intake, tmp_path: Path, fields: list[Field], code: str
) -> None:
    with pytest.raises(Problem) as refused:
        await receive(intake, *fields)
    assert refused.value.code == code
    assert left(tmp_path) == []


async def test_a_length_beyond_the_limit_is_refused_before_the_body_is_read(intake: Intake) -> None:
    async def untouched() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    with pytest.raises(Problem) as refused:
        await intake.receive(uuid.uuid4(), TYPE, LIMIT * 10, untouched())
    assert refused.value.status == 413


async def test_too_many_bytes_are_refused_as_the_count_passes_not_at_the_end(intake: Intake, tmp_path: Path) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield body(("file", "a.png", PNG)).removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())
        while True:
            read += 10_000
            yield bytes(10_000)

    with pytest.raises(Problem) as refused:
        await intake.receive(uuid.uuid4(), TYPE, None, endless())
    assert refused.value.code == "TOO_LARGE"
    assert read < LIMIT + 50_000
    assert left(tmp_path) == []


async def test_a_type_that_is_none_of_ours_is_refused_by_its_first_bytes(intake: Intake) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield body(("file", "a.mp4", b"%PDF-1.7\n" + bytes(10_000))).removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())
        while True:
            read += 10_000
            yield bytes(10_000)

    with pytest.raises(Problem) as refused:
        await intake.receive(uuid.uuid4(), TYPE, None, endless())
    assert refused.value.message == (
        "Unsupported file type: 'application/pdf'. Please upload a valid video, image, or audio file."
    )
    assert read <= 20_000


@pytest.mark.parametrize("cut", [30, 200, 3_000])
async def test_a_body_that_ends_early_is_refused_and_leaves_nothing(intake: Intake, tmp_path: Path, cut: int) -> None:
    whole = body(("file", "a.mp4", samples.clip("mp4")))
    with pytest.raises(Problem) as refused:
        await intake.receive(uuid.uuid4(), TYPE, None, drip(whole[:cut]))
    assert refused.value.status == 400
    assert left(tmp_path) == []


async def test_a_sender_that_falls_silent_is_refused(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(pace, "READ_TIMEOUT", 0.05)

    async def silent() -> AsyncIterator[bytes]:
        yield body(("file", "a.png", PNG))[:200]
        await asyncio.sleep(60)
        yield b""

    with pytest.raises(Problem) as refused:
        await intake.receive(uuid.uuid4(), TYPE, None, silent())
    assert refused.value.errors[0]["code"] == "TOO_SLOW"


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data", "text/plain; boundary=x"])
async def test_a_body_that_is_no_form_holds_no_file(intake: Intake, content_type: str) -> None:
    with pytest.raises(Problem) as refused:
        await receive(intake, ("file", "a.png", PNG), content_type=content_type)
    assert refused.value.code == "FILE_REQUIRED"


async def test_a_machine_too_busy_to_look_at_a_file_says_come_again_and_not_that_it_is_damaged(tmp_path: Path) -> None:
    intake = Intake(LocalObjects(tmp_path), Prober(wall_seconds=0.001), LIMIT)
    with pytest.raises(Unavailable):
        await receive(intake, ("file", "a.png", PNG))
    assert left(tmp_path) == []


async def test_a_file_that_takes_more_processor_time_than_it_may_is_refused(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child of this test spends its time before it looks: what it sees then does not matter."""
    busy = "from drishtiksha_api.intake import child; child.CPU_SECONDS = 1; child._picture = lambda *_: any(iter(bool, True)); child.main()"
    start = asyncio.create_subprocess_exec

    async def instead(program: str, *_words: str, **options: Any) -> asyncio.subprocess.Process:
        return await start(program, "-c", busy, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", instead)
    with pytest.raises(Problem) as refused:
        await receive(intake, ("file", "a.png", PNG))
    assert refused.value.code == "UNDECODABLE"
    assert left(tmp_path) == []


async def test_a_machine_without_room_for_the_child_says_come_again_and_keeps_nothing(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", none_left)
    with pytest.raises(Unavailable):
        await receive(intake, ("file", "a.png", samples.picture("PNG")))
    assert left(tmp_path) == []
