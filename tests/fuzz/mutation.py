"""Changing a file a little, by a seeded dealer: bits, numbers, pieces; checksums of PNG and Ogg are mended so that what follows is read.

Used by `dealt.py` alone, and by `guided.py` beside libFuzzer's own changes.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence

PNG, OGG = b"\x89PNG\r\n\x1a\n", b"OggS"
_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    127,
    128,
    255,
    256,
    1023,
    4096,
    32_767,
    32_768,
    65_535,
    65_536,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
)
MOST = 65_536
"""Bytes of an input; what is longer is cut."""


def mutated(dealer: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to five changes; pieces may come out of `others`."""
    changed = bytearray(data or b"\0")
    for _ in range(dealer.choice((1, 1, 1, 2, 3, 5))):
        _change(dealer, changed, others)
        if not changed:
            changed = bytearray(b"\0")
    made = bytes(changed[:MOST])
    return mended(made) if dealer.random() < 0.8 else made


def mended(data: bytes) -> bytes:
    """A PNG or Ogg file with the checksum of each whole chunk or page made right; anything else as it is."""
    if data.startswith(PNG):
        return _mended_png(bytearray(data))
    return _mended_ogg(bytearray(data)) if data.startswith(OGG) else data


def _mended_png(data: bytearray) -> bytes:
    at = len(PNG)
    while at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(data)


def _mended_ogg(data: bytearray) -> bytes:
    """RFC 3533: the checksum stands at byte 22 of a page and is counted with itself as zero."""
    at = 0
    while data[at : at + 4] == OGG and at + 27 <= len(data):
        lengths = data[at + 27 : at + 27 + data[at + 26]]
        end = at + 27 + len(lengths) + sum(lengths)
        if end > len(data):
            break
        struct.pack_into("<I", data, at + 22, 0)
        total = 0
        for byte in data[at:end]:
            total = ((total << 8) & 0xFFFF_FFFF) ^ _OGG_TABLE[(total >> 24) ^ byte]
        struct.pack_into("<I", data, at + 22, total)
        at = end
    return bytes(data)


def _row(number: int) -> int:
    row = number << 24
    for _ in range(8):
        row = ((row << 1) ^ 0x04C1_1DB7 if row & 0x8000_0000 else row << 1) & 0xFFFF_FFFF
    return row


_OGG_TABLE = [_row(number) for number in range(256)]


def _change(dealer: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    # Headers decide more than what follows them, so half of the changes are made near the beginning.
    reach = min(len(data), 512) if dealer.random() < 0.5 else len(data)
    at = dealer.randrange(reach)
    length = min(dealer.choice((1, 2, 4, 8, 16, 64, 256, 1024)), len(data) - at)
    match dealer.randrange(8):
        case 0:
            data[at] ^= 1 << dealer.randrange(8)
        case 1:
            data[at] = dealer.randrange(256)
        case 2:
            shape = dealer.choice(("<H", ">H", "<I", ">I", ">Q"))
            number = dealer.choice(_NUMBERS) & (0xFFFF if shape.endswith("H") else 0xFFFF_FFFF)
            data[at : at + struct.calcsize(shape)] = struct.pack(shape, number)
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = data[at : at + length] * dealer.choice((1, 2, 16))
        case 5:
            data[at : at + length] = dealer.randbytes(length)
        case 6:
            other = dealer.choice(others)
            start = dealer.randrange(len(other))
            data[at : at + dealer.choice((0, length))] = other[start : start + length]
        case _:
            del data[dealer.randrange(max(1, len(data) // 4), len(data) + 1) :]
