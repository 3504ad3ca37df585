"""Draws a matrix of numbers as a PNG with a palette (W3C PNG, third edition: colour type 3). Pure, standard library only.

`pictures` draws what a model sends as numbers when it sends no picture of it.
"""

from __future__ import annotations

import struct
import zlib

from .evidence import number

MAX_SIDE = 1024
"""Pixels of the longer side; a larger matrix is sampled."""
_LEAST_SIDE = 256
"""A smaller one is drawn with larger points, by whole factors."""
_ANCHORS = ((0, 0, 0), (52, 16, 112), (190, 44, 88), (250, 152, 36), (255, 252, 214))
"""From the least to the most: darker is always less, also without colours."""


def png(matrix: object, *, low: float | None = None, high: float | None = None, upside_down: bool = False) -> bytes:
    """The picture of equally long rows; `low` and `high` are the ends of the palette (absent: those of the numbers).

    A gap (null) is drawn as the least. Raises ValueError with half a sentence when it is no such matrix.
    """
    rows = _rows(matrix)
    told = [value for row in rows for value in row if value is not None]
    if not told:
        raise ValueError("it holds no numbers")
    least, most = min(told) if low is None else low, max(told) if high is None else high
    step = 255.0 / (most - least) if most > least else 0.0
    drawn = [bytes(_shade(value, least, step) for value in row) for row in (reversed(rows) if upside_down else rows)]
    factor = max(1, _LEAST_SIDE // max(len(drawn), len(drawn[0])))
    if factor > 1:
        drawn = [bytes(shade for shade in row for _ in range(factor)) for row in drawn for _ in range(factor)]
    return _encoded(drawn)


def _rows(matrix: object) -> list[list[float | None]]:
    listed = matrix if isinstance(matrix, list) else []
    width = len(listed[0]) if listed and isinstance(listed[0], list) else 0
    if not width or not all(isinstance(row, list) and len(row) == width for row in listed):
        raise ValueError("its rows are not equally long lists of numbers")
    across, down = _sampled(width), _sampled(len(listed))
    rows = [[number(listed[y][x]) for x in across] for y in down]
    if any(rows[j][i] is None and listed[y][x] is not None for j, y in enumerate(down) for i, x in enumerate(across)):
        raise ValueError("its rows hold something else than numbers")
    return rows


def _sampled(count: int) -> list[int]:
    """At most so many places as fit, evenly spaced."""
    fit = min(count, MAX_SIDE)
    return [i * count // fit for i in range(fit)]


def _shade(value: float | None, least: float, step: float) -> int:
    return 0 if value is None else round(min(255.0, max(0.0, (value - least) * step)))


def _encoded(rows: list[bytes]) -> bytes:
    size = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)
    lines = b"".join(b"\0" + row for row in rows)  # each line unfiltered
    palette = b"".join(bytes(_colour(shade)) for shade in range(256))
    parts = ((b"IHDR", size), (b"PLTE", palette), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _colour(shade: int) -> list[int]:
    at, rest = divmod(shade * (len(_ANCHORS) - 1), 255)
    here, there = _ANCHORS[at], _ANCHORS[min(at + 1, len(_ANCHORS) - 1)]
    return [round(a + (b - a) * rest / 255) for a, b in zip(here, there, strict=True)]
