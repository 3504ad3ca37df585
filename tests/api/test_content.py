"""Bytes over HTTP: exactly the ones asked for, for whoever holds a good link, and for nobody else."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import api_samples as samples
import pytest

from drishtiksha.signing import SigningKeys
from drishtiksha_api.links import Links
from drishtiksha_api.problems import Problem
from drishtiksha_api.ranges import content_disposition, wanted_range

CLIP = samples.clip("mp4")
TAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "if_range", "window"),
    [
        (None, None, None),
        ("bytes=0-9", None, (0, 9)),
        ("bytes=90-", None, (90, 99)),
        ("bytes=-10", None, (90, 99)),
        ("bytes=-1000", None, (0, 99)),
        ("bytes=95-1000", None, (95, 99)),
        ("bytes=0-9", TAG, (0, 9)),
        ("bytes=0-9", '"other"', None),
        ("bytes=0-9", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("bytes=0-1,5-6", None, None),
        ("items=0-9", None, None),
        ("bytes=9-5", None, None),
        ("bytes=-", None, None),
        ("bytes=x-y", None, None),
    ],
)
def test_a_range_is_read_as_the_rfc_says(header: str | None, if_range: str | None, window: Any) -> None:
    assert wanted_range(header, if_range, 100, TAG) == window


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=999999999999-"])
def test_a_range_without_a_byte_is_not_satisfiable(header: str) -> None:
    with pytest.raises(Problem) as refused:
        wanted_range(header, None, 100, TAG)
    assert (refused.value.status, refused.value.headers["Content-Range"]) == (416, "bytes */100")


def test_a_file_name_cannot_break_out_of_its_header() -> None:
    header = content_disposition("inline", 'a"b\\c\r\nSet-Cookie: x; é.png')
    assert "\r" not in header
    assert "\n" not in header
    assert header.startswith('inline; filename="a_b_c__Set-Cookie: x; _.png"; ')
    assert header.endswith("filename*=UTF-8''a%22b%5Cc%0D%0ASet-Cookie%3A%20x%3B%20%C3%A9.png")


def test_a_link_is_the_same_string_for_an_hour_and_none_in_the_hour_after_the_upload_changes_it() -> None:
    links = Links(SigningKeys("a:" + "k" * 40), "https://x", 3600.0)
    media_id, created = uuid.uuid4(), datetime(2026, 1, 1, 12, 17, 3, tzinfo=UTC)
    at = [links.media(media_id, created, created + timedelta(minutes=m)) for m in (0, 1, 59, 61, 119, 121)]
    assert at[0] == at[1] == at[2]
    assert at[3] == at[4]
    assert len(set(at)) == 3
    for minutes, link in ((0, at[0]), (61, at[3])):
        expires = int(parse_qs(urlsplit(link).query)["expires"][0])
        left = expires - (created + timedelta(minutes=minutes)).timestamp()
        assert 3600 <= left <= 7200


async def test_a_link_serves_the_bytes_and_their_ranges_to_anybody_who_holds_it(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, CLIP, "Köln.mp4")).json()["data"]
    whole = await world.client.get(media["url"])
    assert (whole.status_code, whole.content) == (200, CLIP)
    assert whole.headers["etag"] == f'"{media["sha256"]}"'
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"] == "private, max-age=3600"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["cross-origin-resource-policy"] == "cross-origin"
    assert whole.headers["content-disposition"].endswith("filename*=UTF-8''K%C3%B6ln.mp4")
    part = await world.client.get(media["url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, CLIP[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(CLIP)}"
    stale = await world.client.get(media["url"], headers={"Range": "bytes=10-19", "If-Range": '"old"'})
    assert (stale.status_code, stale.content) == (200, CLIP)
    beyond = await world.client.get(media["url"], headers={"Range": f"bytes={len(CLIP)}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    known = await world.client.get(media["url"], headers={"If-None-Match": whole.headers["etag"]})
    assert known.status_code == 304
    saved = await world.client.get(media["url"] + "&download=1")
    assert saved.headers["content-disposition"].startswith("attachment; ")


@pytest.mark.parametrize("window", ["bytes=10-19", "bytes=999999999-"])
async def test_a_head_knows_no_range(world: Any, window: str) -> None:
    media = (await world.upload(await world.person(), CLIP)).json()["data"]
    head = await world.client.head(media["url"], headers={"Range": window})
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(CLIP)), b"")
    assert "content-range" not in head.headers
    assert head.headers["accept-ranges"] == "bytes"


async def test_without_a_good_link_or_the_owner_s_token_there_are_no_bytes(world: Any) -> None:
    ada, eve = await world.person(), await world.person()
    media = (await world.upload(ada, CLIP)).json()["data"]
    other = (await world.upload(eve, CLIP)).json()["data"]
    bare = media["url"].partition("?")[0]
    query = parse_qs(urlsplit(media["url"]).query)
    assert (await world.client.get(bare)).json()["code"] == "TOKEN_MISSING"
    assert (await world.client.get(bare, headers=ada)).content == CLIP
    assert (await world.client.get(bare, headers=eve)).status_code == 404
    swapped = other["url"].partition("?")[0] + "?" + urlsplit(media["url"]).query
    later = f"{bare}?expires={int(query['expires'][0]) + 9}&key={query['key'][0]}&signature={query['signature'][0]}"
    for forged in (swapped, later, f"{bare}?signature=x", f"{bare}?expires=x&key=k1&signature=x"):
        refused = await world.client.get(forged)
        assert (refused.status_code, refused.json()["code"]) == (401, "TOKEN_INVALID"), forged
    expired = world.around.keys.link(urlsplit(bare).path, int(time.time()) - 5)
    refused = await world.client.get(bare, params=vars_of(expired))
    assert (refused.status_code, refused.json()["code"]) == (401, "TOKEN_EXPIRED")


def vars_of(link: Any) -> dict[str, Any]:
    return {"expires": link.expires, "key": link.key_id, "signature": link.signature}
