"""Bytes on their way to Cloudinary and back, when answers are lost, break off or are wrong; and what they cost.

Against a double that is written from Cloudinary's documented protocol (`cloudinary_double`), not Cloudinary itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cloudinary_account import Double, Trouble
from cloudinary_store import LARGE, ORIGINAL, SHORT, TRIES, read, store, stream
from measured_store import grown

from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects import ObjectMissing
from drishtiksha.objects.cloudinary import PART, CloudinaryObjects

# -- bytes on their way up ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, LARGE])
async def test_an_upload_whose_last_answer_is_lost_leaves_a_whole_object_or_none(
    at_double: CloudinaryObjects, double: Double, size: int
) -> None:
    data = os.urandom(size)
    parts = -(-size // PART)
    double.trouble = [Trouble("upload", 0)]

    async def source() -> AsyncIterator[bytes]:
        async for chunk in stream(data):
            yield chunk
        double.trouble[0] = Trouble("upload", 10, lost=True)

    with pytest.raises(Unavailable):
        await at_double.put(ORIGINAL, source())
    assert double.asked["upload"] > parts
    assert double.assets == {}
    double.trouble = []
    await at_double.put(ORIGINAL, stream(data))
    assert await read(at_double) == data


async def test_a_part_that_stumbles_is_sent_again_and_the_file_is_whole(
    at_double: CloudinaryObjects, double: Double
) -> None:
    data = os.urandom(LARGE)
    double.trouble = [Trouble("upload", lost=True)]
    await at_double.put(ORIGINAL, stream(data))
    assert double.asked["upload"] == 4
    assert await read(at_double) == data


async def test_a_file_that_was_kept_otherwise_is_taken_back(at_double: CloudinaryObjects, double: Double) -> None:
    for wrong in ({"bytes": 2}, {"public_id": "elsewhere"}, {"bytes": None}, {"created_at": "yesterday"}):
        double.trouble = [Trouble("upload", edit=wrong)]
        with pytest.raises(Unavailable):
            await at_double.put(ORIGINAL, stream(b"abc"))
        assert double.assets == {}


async def test_an_upload_that_is_cancelled_while_its_last_part_is_on_its_way_leaves_nothing(
    at_double: CloudinaryObjects, double: Double
) -> None:
    double.trouble = [Trouble("upload", silent=0.2)]
    task = asyncio.create_task(at_double.put(ORIGINAL, stream(b"abc")))
    while not double.asked["upload"]:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.3)
    assert double.assets == {}


# -- bytes on their way down -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("knows_ranges", [True, False])
@pytest.mark.parametrize("tells_length", [True, False])
async def test_a_download_that_breaks_off_goes_on_and_one_that_always_does_is_unavailable(
    at_double: CloudinaryObjects, double: Double, knows_ranges: bool, tells_length: bool
) -> None:
    data = os.urandom(3_000_000)
    await at_double.put(ORIGINAL, stream(data))
    double.knows_ranges, double.tells_length = knows_ranges, tells_length
    double.trouble = [Trouble("download", half=1_000_000)]
    assert await read(at_double) == data
    double.trouble = [Trouble("download", half=1_000_000)]
    assert await read(at_double, 700_000, 2_000_000) == data[700_000:2_700_000]
    assert await read(at_double, 2_999_990, 100) == data[-10:]
    double.trouble, double.asked["download"] = [Trouble("download", 10, half=10)], 0
    with pytest.raises(Unavailable):
        await read(at_double)
    assert double.asked["download"] == TRIES


async def test_less_than_there_is_is_not_taken_for_all_of_it(at_double: CloudinaryObjects, double: Double) -> None:
    await at_double.put(ORIGINAL, stream(b"a" * 1000))
    for double.tells_length, start in ((True, 1), (False, 0)):
        double.trouble = [Trouble("download", short=500)]
        with pytest.raises(Unavailable, match="less than there is"):
            await read(at_double, start)


@pytest.mark.parametrize(
    "headers", [{"Content-Encoding": "gzip"}, {"Content-Range": "bytes 0-9/1000"}, {"Content-Range": "junk"}]
)
async def test_other_bytes_than_were_asked_for_are_refused(
    at_double: CloudinaryObjects, double: Double, headers: dict[str, str]
) -> None:
    await at_double.put(ORIGINAL, stream(b"a" * 1000))
    double.trouble = [Trouble("download", headers=headers)]
    with pytest.raises(Unavailable, match="other bytes"):
        await read(at_double, 10)


async def test_an_object_that_changes_or_vanishes_under_a_reader_is_not_mixed(
    at_double: CloudinaryObjects, double: Double
) -> None:
    for then, end in ((stream(b"b" * 3_000_000), Unavailable), (None, ObjectMissing)):
        await at_double.put(ORIGINAL, stream(b"a" * 3_000_000))
        double.trouble = [Trouble("download", half=1_000_000)]
        got, changed = b"", False
        with pytest.raises(end):
            async for block in at_double.get(ORIGINAL):
                got += block
                if not changed:
                    await (at_double.put(ORIGINAL, then) if then else at_double.delete(ORIGINAL))
                changed = True
        assert set(got) == {ord("a")}


async def test_a_reader_who_pauses_for_longer_than_a_request_may_take_goes_on(
    at_double: CloudinaryObjects, double: Double
) -> None:
    data = os.urandom(3_000_000)
    await at_double.put(ORIGINAL, stream(data))
    got = b""
    async for block in store(double.url, patience=SHORT).get(ORIGINAL):
        got += block
        await asyncio.sleep(SHORT.request * 1.2 if len(got) == len(block) else 0)
    assert got == data


async def test_a_download_that_is_sent_elsewhere_is_followed(at_double: CloudinaryObjects, double: Double) -> None:
    await at_double.put(ORIGINAL, stream(b"abc"))
    there = at_double.sign(ORIGINAL, datetime.now(UTC) + timedelta(seconds=60))
    assert there is not None
    double.trouble = [Trouble("download", status=302, headers={"Location": there})]
    assert await read(at_double, 1) == b"bc"


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_forty_megabytes_pass_through_a_few(double: Double, tmp_path: Path) -> None:
    up, down = grown(40, double.settings(folder="measured"), tmp_path)
    assert up < 25
    assert down < 25
