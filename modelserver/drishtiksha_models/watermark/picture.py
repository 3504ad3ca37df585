"""Draws the votes for each bit of a message beside the bits that the message has. One picture, by Pillow."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .messages import Message

BAR, HEIGHT, ROW = 7, 120, 14
"""Pixels of one bit's width, of the bars' height, of the row with the message."""
MARGIN, TOP = 16, 40
_INK, _PAPER, _HALF = (32, 32, 40), (255, 255, 255), (190, 190, 190)
_AGREES, _DIFFERS = (20, 120, 200), (200, 40, 40)


def vote_chart(message: Message, shares: Sequence[float]) -> bytes:
    """PNG: for each bit the share of votes for 1, blue where the majority agrees with the message and red where not."""
    width = max(420, MARGIN * 2 + BAR * message.length)
    picture = Image.new("RGB", (width, TOP + HEIGHT + ROW + MARGIN + 10), _PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    pen.text((MARGIN, 6), f"{message.name}: share of votes for 1 at each of {message.length} bits", _INK, font)
    pen.text((MARGIN, 21), "blue agrees, red does not; below, the message (dark is 1)", _INK, font)
    bottom = TOP + HEIGHT
    for i, (wanted, share) in enumerate(zip(message.bits, shares, strict=True)):
        left = MARGIN + i * BAR
        colour = _AGREES if (share * 255 > 127) == wanted else _DIFFERS
        pen.rectangle((left, bottom - round(share * HEIGHT), left + BAR - 2, bottom), colour)
        pen.rectangle((left, bottom + 4, left + BAR - 2, bottom + ROW), _INK if wanted else _PAPER, _HALF)
    pen.line((MARGIN, bottom - HEIGHT // 2, MARGIN + BAR * message.length, bottom - HEIGHT // 2), _HALF)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=4)
    return out.getvalue()
