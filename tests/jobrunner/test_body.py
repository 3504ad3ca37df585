"""Bytes from an ML service: measured before they are believed."""

from __future__ import annotations

import base64
import os
import zlib
from collections.abc import AsyncIterator

import pytest

from drishtiksha_jobrunner import body
from drishtiksha_jobrunner.faults import Fault

KIB = 1024


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """The same limits, 64 times smaller."""
    monkeypatch.setattr(body, "MAX_PLAIN", 256 * KIB)
    monkeypatch.setattr(body, "MAX_BODY", 256 * KIB + 16 * 64 * KIB * 4 // 3)


async def arriving(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_lines_are_found_wherever_the_pieces_are_cut():
    text = b'{"a":1}\n\n{"b":2}\r\n{"c":3}'
    for cut in range(1, len(text)):
        got = [line.strip() async for line in body.lines(arriving(text[:cut], text[cut:]))]
        assert got == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


async def test_deflate_and_gzip_members_are_unpacked_in_any_pieces():
    packed = zlib.compress(b'{"x": 1}' * 5000)
    cut = [packed[i : i + 7] for i in range(0, len(packed), 7)]
    assert await body.whole(body.unpacked(arriving(*cut), "deflate", None)) == b'{"x": 1}' * 5000


async def test_plain_json_beyond_its_limit_is_given_up_while_it_arrives():
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 16 * KIB
            yield b'"word" ,' * (2 * KIB)

    with pytest.raises(Fault, match="larger"):
        await body.whole(endless())
    assert taken <= 528 * KIB


async def test_an_endless_line_is_given_up_too():
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b'"word" ,' * (2 * KIB)

    with pytest.raises(Fault, match="larger"):
        [line async for line in body.lines(endless())]


async def test_pictures_do_not_count_as_plain_json():
    picture = base64.b64encode(os.urandom(64 * KIB))
    text = b'{"data": ["' + b'", "'.join([picture] * 6) + b'"]}'
    assert len(text) > 2 * body.MAX_PLAIN
    for size in (1400, 65536, 1024 * KIB):
        pieces = (text[i : i + size] for i in range(0, len(text), size))
        assert len(body.parse(await body.whole(arriving(*pieces)))["data"]) == 6


async def test_more_bytes_than_all_pictures_may_have_are_given_up():
    with pytest.raises(Fault, match="larger"):
        await body.whole(arriving(*[b"A" * 16 * KIB] * 110))


def test_exactly_the_limit_of_plain_json_is_read():
    text = b'{"n": "' + b"x y " * ((body.MAX_PLAIN - 9) // 4)
    text += b" " * (body.MAX_PLAIN - len(text) - 2) + b'"}'
    assert len(text) == body.MAX_PLAIN
    assert set(body.parse(text)) == {"n"}
    with pytest.raises(Fault, match="larger"):
        body.parse(text[:-1] + b" }")
