"""Cloudinary that is slow, away, broken, used up or not ours, and what its assets are called.

Against a double that is written from Cloudinary's documented protocol (`cloudinary_double`), not against Cloudinary
itself: it shows what we send and how we take each answer, not that the service answers so.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta

import cloudinary
import httpx
import pytest
import structlog
from cloudinary_account import SECRET, Double, Trouble
from cloudinary_store import LARGE, MEDIA, NAME, ORIGINAL, SHORT, TRIES, listed, read, store, stream
from fault_proxy import FaultProxy

from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects import Objects, keys
from drishtiksha.objects.cloudinary import CloudinaryObjects


async def said(objects: CloudinaryObjects) -> dict[str, str]:
    """What each verb says when all are asked together; nothing of those that are content."""
    asked = {
        "put": objects.put(ORIGINAL, stream(b"abc")),
        "get": read(objects),
        "stat": objects.stat(ORIGINAL),
        "delete": objects.delete(ORIGINAL),
        "list": listed(objects),
        "check": objects.check(),
    }
    answers = await asyncio.gather(*asked.values(), return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    assert {type(one) for one in failed} <= {Unavailable}
    pairs = zip(asked, answers, strict=True)
    return {verb: str(answer) for verb, answer in pairs if isinstance(answer, BaseException)}


# -- who does not answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["refuse", "blackhole"])
async def test_cloudinary_that_does_not_answer_is_said_to_be_unavailable_in_time(double: Double, fault: str) -> None:
    with FaultProxy.before(double.url) as proxy:
        objects = store(proxy.instead_of(double.url), patience=SHORT)
        await objects.put(ORIGINAL, stream(b"abc"))
        getattr(proxy, fault)()
        begun = time.monotonic()
        # A put that failed takes back what it may have left, and waits for that, too.
        assert set(await said(objects)) == {"put", "get", "stat", "delete", "list", "check"}
        assert time.monotonic() - begun < 2 * SHORT.call + 1
        proxy.heal()
        assert await read(objects) == b"abc"


@pytest.mark.parametrize(
    "trouble",
    [Trouble("explicit", status=503), Trouble("explicit", lost=True),
     Trouble("explicit", junk=b"<html>"), Trouble("explicit", status=429, headers={"Retry-After": "0"})],
    ids=["503", "lost", "junk", "429"],
)  # fmt: skip
async def test_a_fault_that_passes_is_asked_again_and_one_that_stays_ends_after_so_many_tries(
    at_double: CloudinaryObjects, double: Double, trouble: Trouble
) -> None:
    await at_double.put(ORIGINAL, stream(b"abc"))
    double.trouble = [trouble]
    assert (await at_double.stat(ORIGINAL)) is not None
    assert double.asked["explicit"] == 2
    trouble.times, double.asked["explicit"] = 10, 0
    with pytest.raises(Unavailable):
        await at_double.stat(ORIGINAL)
    assert double.asked["explicit"] == TRIES


async def test_an_answer_that_drips_is_no_sign_of_life(at_double: CloudinaryObjects, double: Double) -> None:
    await at_double.put(ORIGINAL, stream(b"abc"))
    double.trouble = [Trouble("explicit", drip=0.05)]
    assert await store(double.url, patience=SHORT).stat(ORIGINAL) is not None
    assert double.asked["explicit"] == 2


async def test_who_says_come_back_in_an_hour_is_not_waited_for(at_double: CloudinaryObjects, double: Double) -> None:
    double.trouble = [Trouble("explicit", 10, status=503, headers={"Retry-After": "3600"})]
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await at_double.stat(ORIGINAL)
    assert double.asked["explicit"] == 1
    assert time.monotonic() - begun < 1


# -- who refuses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"secret": "canary-another-secret"}, {"cloud": "another"}])
async def test_a_refused_key_is_named_with_its_cure_once_and_no_secret_stands_anywhere(
    double: Double, wrong: dict[str, str]
) -> None:
    objects = store(double.url, **wrong)
    with structlog.testing.capture_logs() as logged:
        words = await said(objects)
        assert set(words) >= {"put", "get", "stat", "delete", "list", "check"} - {"list" if "cloud" in wrong else ""}
        assert all("CLOUDINARY_API_SECRET" in text for verb, text in words.items() if verb != "list")
        before = double.asked["explicit"]
        with pytest.raises(Unavailable) as refused:
            await objects.stat(ORIGINAL)
        assert double.asked["explicit"] == before + 1
        assert refused.value.__cause__ is None
    assert {line["code"] for line in logged} <= {"401", "NoListing"}
    assert "canary" not in str(logged) + str(words) + repr(objects._wire._account)
    assert "signature=" not in str(logged) + str(words)


async def test_a_404_that_does_not_name_the_asset_is_no_missing_object(
    at_double: CloudinaryObjects, double: Double
) -> None:
    double.trouble = [Trouble(action, 10, status=404) for action in ("explicit", "download", "resources")]
    for verb in (at_double.stat(ORIGINAL), read(at_double), listed(at_double)):
        with pytest.raises(Unavailable):
            await verb
    double.trouble = [Trouble("resources", status=404, message="Resource not found - v1_1")]
    with pytest.raises(Unavailable, match="no listing"):
        await listed(at_double)


async def test_a_file_that_the_plan_does_not_take_is_refused_with_a_sentence(
    at_double: CloudinaryObjects, double: Double
) -> None:
    double.largest = 10_000_000
    with pytest.raises(Unavailable, match="the plan of the account limits it"):
        await at_double.put(ORIGINAL, stream(os.urandom(LARGE)))
    assert double.asked["upload"] == 2
    assert double.assets == {}


async def test_when_the_calls_of_the_hour_are_used_up_only_the_listing_waits(
    at_double: CloudinaryObjects, double: Double
) -> None:
    double.calls_per_hour = 1
    await at_double.put(ORIGINAL, stream(b"abc"))
    assert await listed(at_double) == {ORIGINAL: 3}
    with pytest.raises(Unavailable, match="used up") as waits:
        await listed(at_double)
    assert waits.value.retry_after >= 60
    assert double.asked["resources"] == 1 + TRIES
    await at_double.check()
    assert await read(at_double) == b"abc"
    await at_double.delete(ORIGINAL)
    assert await at_double.stat(ORIGINAL) is None


async def test_being_asked_for_its_health_costs_no_call_of_the_hour(in_cloudinary: Objects, double: Double) -> None:
    for _ in range(3):
        await in_cloudinary.check()
    assert double.asked["resources"] == 0
    assert double.asked["upload"] == 1
    assert double.assets == {}


# -- names -------------------------------------------------------------------------------------------------------------


async def test_an_empty_object_becomes_a_full_one_and_the_other_way_round(
    at_double: CloudinaryObjects, double: Double
) -> None:
    for data in (b"", b"abc", b"", b"abcd"):
        await at_double.put(ORIGINAL, stream(data))
        found = await at_double.stat(ORIGINAL)
        assert found is not None
        assert (found.size, await read(at_double), await listed(at_double)) == (len(data), data, {ORIGINAL: len(data)})
    await at_double.delete(ORIGINAL)
    assert double.assets == {}


async def test_everything_lies_in_the_folder_and_leaves_the_caches_with_its_deletion(
    at_double: CloudinaryObjects, double: Double
) -> None:
    await at_double.put(ORIGINAL, stream(b"abc"))
    assert list(double.assets) == [NAME]
    await at_double.delete(ORIGINAL)
    assert NAME in double.invalidated


async def test_a_listing_comes_in_pages_has_an_end_and_leaves_out_what_is_not_ours(
    at_double: CloudinaryObjects, double: Double
) -> None:
    ours = [keys.artifact(MEDIA, "an", number, "x") for number in range(5)]
    for key in ours:
        await at_double.put(key, stream(b"abc"))
    double.assets["here/media/some holiday.jpg"] = double.assets[f"here/{ours[0]}"]
    double.page = 2
    double.assets["here/media/some holiday.jpg"].name = "here/media/some holiday.jpg"
    double.assets[f"here/{ours[0]}"] = type(double.assets[f"here/{ours[1]}"])(
        f"here/{ours[0]}", b"abc", datetime.now(UTC), 1
    )
    assert await listed(at_double) == dict.fromkeys(ours, 3)
    assert double.asked["resources"] == 3
    double.trouble = [Trouble("resources", 100, edit={"next_cursor": "again"})]
    with pytest.raises(Unavailable, match="no end"):
        await listed(at_double)
    double.trouble = [Trouble("resources", edit={"resources": [{"public_id": 7}]})]
    with pytest.raises(Unavailable):
        await listed(at_double)


async def test_a_signed_address_serves_until_it_expires_or_the_object_is_gone(
    at_double: CloudinaryObjects, double: Double
) -> None:
    await at_double.put(ORIGINAL, stream(b"abc"))
    now = datetime.now(UTC)
    there = at_double.sign(ORIGINAL, now + timedelta(seconds=60))
    assert there is not None
    assert SECRET not in there
    assert at_double.sign(ORIGINAL, now - timedelta(seconds=1)) is None
    expired = at_double._wire.address(NAME, int(time.time()) - 1)
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.get(there)).content == b"abc"
        assert (await anybody.get(there.replace("original", "other"))).status_code == 401
        assert (await anybody.get(expired)).status_code == 401
        await at_double.delete(ORIGINAL)
        assert (await anybody.get(there)).status_code == 404


async def test_what_the_package_finds_in_the_environment_does_not_count(
    at_double: CloudinaryObjects, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cloud_name", "api_secret", "upload_prefix", "upload_preset", "oauth_token"):
        monkeypatch.setitem(cloudinary.config().__dict__, name, "https://nowhere.invalid")
    monkeypatch.setitem(cloudinary.config().__dict__, "signature_algorithm", "sha256")
    await at_double.put(ORIGINAL, stream(b"abc"))
    assert await listed(at_double) == {ORIGINAL: 3}
    assert await read(at_double) == b"abc"
    assert double.asked["upload"] == 1
