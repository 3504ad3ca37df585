"""Uploads that are two things at once, and names that want to be more than names.

A polyglot is taken as the media that it decodes to and served as nothing else, byte for byte; a name is shown and used
nowhere. What wants to open files, call addresses or unfold stands in `intake/test_lures.py`.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from typing import Any

import api_samples as samples
import pytest
from stores import PROBE

from drishtiksha_api.intake.probe import Prober

PAGE = b"<!DOCTYPE html><html><body><script>alert(document.cookie)</script></body></html>"
PAPER = b"%PDF-1.7\n1 0 obj\n<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>\nendobj\n"
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


def _archive(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


def _jpeg_with(comment: bytes) -> bytes:
    drawn = samples.picture("JPEG")
    return drawn[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + drawn[2:]


def _script_in_gif() -> bytes:
    """`GIF89a/*…*/=1;alert(1)`: the width of the screen opens a comment of JavaScript, and the end closes it."""
    drawn = samples.picture("GIF")
    return drawn[:6] + b"/*" + drawn[8:] + b"*/=1;alert(1)//"


def _film_with(words: bytes) -> bytes:
    return samples.clip("mp4") + struct.pack(">I", len(words) + 8) + b"free" + words


TWO_AT_ONCE = {
    "picture and page": (samples.picture("JPEG") + PAGE, "image/jpeg"),
    "page in a picture's comment": (_jpeg_with(PAGE), "image/jpeg"),
    "paper in a picture's comment": (_jpeg_with(PAPER), "image/jpeg"),
    "picture and archive": (samples.picture("PNG") + _archive("a.html", PAGE), "image/png"),
    "picture and script": (_script_in_gif(), "image/gif"),
    "picture and drawing": (samples.picture("WEBP") + DRAWING, "image/webp"),
    "film and page": (_film_with(PAGE), "video/mp4"),
    "film and archive": (samples.clip("mp4") + _archive("a.html", PAGE), "video/mp4"),
    "sound and page": (samples.tone_wav() + PAGE, "audio/wav"),
}
OTHER_FIRST = {
    "page and picture": PAGE + samples.picture("JPEG"),
    "paper and film": PAPER + samples.clip("mp4"),
    "drawing and picture": DRAWING + samples.picture("PNG"),
    "archive of a film": _archive("a.mp4", samples.clip("mp4")),
    "program and picture": b"#!/bin/sh\nid\nexit\n" + samples.picture("PNG"),
}


@pytest.mark.parametrize("name", list(TWO_AT_ONCE))
async def test_a_polyglot_is_served_as_what_it_decodes_to_and_as_nothing_else(world: Any, name: str) -> None:
    data, mimetype = TWO_AT_ONCE[name]
    ada = await world.person()
    answer = await world.upload(ada, data, "a.html")
    assert answer.status_code == 202, answer.text
    media = answer.json()["data"]
    assert media["mimetype"] == mimetype
    for how in ("", "&download=1"):
        served = await world.client.get(media["url"] + how)
        assert served.content == data, "evidence is never changed"
        assert served.headers["content-type"] == mimetype
        assert served.headers["x-content-type-options"] == "nosniff"
        policy = dict(part.strip().partition(" ")[::2] for part in served.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert not {"script-src", "object-src", "frame-src", "connect-src", "worker-src"} & policy.keys()
        assert served.headers["x-frame-options"] == "SAMEORIGIN"
    assert served.headers["content-disposition"].startswith("attachment; ")


@pytest.mark.parametrize("name", list(OTHER_FIRST))
async def test_what_begins_as_something_else_is_refused_whatever_follows(world: Any, name: str) -> None:
    answer = await world.upload(await world.person(), OTHER_FIRST[name], "a.png")
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_TYPE")
    assert world.stored_files() == []


NAMES = {
    "नमस्ते दुनिया.png": "नमस्ते दुनिया.png",
    "cafe\u0301.png": "cafe\u0301.png",
    "\U0001f9ff.png": "\U0001f9ff.png",
    "invoice\u202egnp.exe.png": "invoicegnp.exe.png",
    "a\u2066b\u2069\u200e\u200f\u061c\ufeffc.png": "abc.png",
    "a\r\nSet-Cookie: x=1\r\n\r\n<script>.png": "aSet-Cookie: x=1<script>.png",
    "a\x00.png": "a.png",
    "a\x1b[31mred\x9b0m.png": "a[31mred0m.png",
    "a\u2028b\u2029c\x85d.png": "abcd.png",
    "../../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "C:\\Windows\\win.ini": "win.ini",
    "..": "upload",
    "/": "upload",
    "\t \n": "upload",
    "$(touch x) `id` ; rm -rf ~ | cat %s %n {0} ${jndi:ldap:x}.png": "$(touch x) `id` ; rm -rf ~ | cat %s %n {0} ${jndi:ldap:x}.png",
    '";filename=evil.html;x=".png': '";filename=evil.html;x=".png',
    "--rf.png": "--rf.png",
    "x" * 4096 + ".png": "x" * 251 + ".png",
    "é" * 4096: "é" * 255,
}
"""Names as they are sent, and as they are shown."""
_DISPOSITION = re.compile(r"inline; filename=\"[ -!#-\[\]-~]*\"; filename\*=UTF-8''[A-Za-z0-9._~%-]+")


async def test_a_name_is_shown_and_never_a_path_a_label_an_argument_or_a_header(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def seen(*_: object) -> object:  # what is in the file does not matter here
        return PROBE

    monkeypatch.setattr(Prober, "probe", seen)
    ada = await world.person()
    media = (await world.upload(ada, samples.picture("PNG"), "plain.png")).json()["data"]
    await world.api.dispatcher.once()
    for sent, shown in NAMES.items():
        answer = await world.client.patch(f"/api/v1/media/{media['id']}", headers=ada, json={"filename": sent[:255]})
        assert answer.status_code == (400 if "\x00" in sent else 200), answer.text
        whole = await world.upload(ada, samples.picture("PNG"), sent)
        assert whole.status_code == 202, whole.text
        told = whole.json()["data"]
        if not {'"', *map(chr, range(32))} & set(sent):  # these, a client writes otherwise in a form
            assert told["filename"] == shown
        if len(sent) <= 255 and answer.status_code == 200:
            assert answer.json()["data"]["filename"] == shown
        for link in (media["url"], told["url"]):
            header = (await world.client.get(link)).headers["content-disposition"]
            assert _DISPOSITION.fullmatch(header), header
        await world.api.dispatcher.once()
    ids = {row["id"] for row in (await world.client.get("/api/v1/media", headers=ada)).json()["data"]}
    assert world.stored_files() == sorted(f"media/{one}/original" for one in ids)
    told_the_cluster = json.dumps(world.cluster.resources, default=str)
    assert len(world.cluster.resources) == len(ids) == len(NAMES) + 1
    for sent in [*NAMES, "plain.png"]:
        words = max(re.findall(r"[^\W_]{4,}", sent) or ["plain"], key=len)
        assert words not in told_the_cluster


async def test_a_runner_is_told_no_name_and_given_no_other_type_than_the_stored_one(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, samples.picture("JPEG") + PAGE, "CanaryName.html")).json()["data"]
    await world.frozen(media["latestRunId"], "M1")
    token = (await world.attempt_tokens(media["latestRunId"]))["M1"]
    assignment = await world.door.get("/attempt", headers=token)
    assert "CanaryName" not in assignment.text
    assert assignment.json()["media"]["mimetype"] == "image/jpeg"
    served = await world.door.get("/attempt/media", headers=token)
    assert (served.content, served.headers["content-type"]) == (samples.picture("JPEG") + PAGE, "image/jpeg")
    assert "CanaryName" not in str(served.headers)
