"""The messages that known generators hide in their pictures, as they leave the generators' own published code.

Next to it: `votes.py` reads bits out of a picture, `chance.py` says how surprising an agreement is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Message:
    """One hidden message. `period`: bits at the same place of each such many are alike (8 for text, 1 for random bits).

    `source` says where the message was seen, and how sure it is whose it is.
    """

    name: str
    bits: tuple[bool, ...]
    period: int
    source: str

    @property
    def length(self) -> int:
        """Bits."""
        return len(self.bits)


def _number(value: int) -> tuple[bool, ...]:
    """As Python's `bin` writes it, which is how the generators do it: zeros in front are lost."""
    return tuple(digit == "1" for digit in f"{value:b}")


def _text(value: str) -> tuple[bool, ...]:
    return tuple(digit == "1" for byte in value.encode() for digit in f"{byte:08b}")


MESSAGES = (
    Message(
        "SDXL",
        _number(0b101100111110110010010000011110111011000110011110),
        1,
        "48 bits, stated as chosen at random: Stability AI's generative-models, and diffusers for every SDXL pipeline",
    ),
    Message(
        "FLUX",
        _number(0b001010101111111010000111100111001111010100101110),
        1,
        "written with 48 bits, stated as chosen at random, but 46 are hidden; the code is spread widely and said to be that "
        "of Black Forest Labs' FLUX, which could not be confirmed at its origin",
    ),
    Message("Stable Diffusion 1", _text("StableDiffusionV1"), 8, "136 bits of text: CompVis stable-diffusion scripts"),
    Message("Stable Diffusion 2", _text("SDV2"), 8, "32 bits of text: Stability AI's stablediffusion scripts"),
)
"""What is looked for. None of them needs a key: anybody can read them, and anybody can write them."""

LENGTHS = tuple(sorted({message.length for message in MESSAGES}))
"""The lengths in bits for which votes are counted."""
