"""Kubernetes quantities ("512Mi", "100m", "1e3") as numbers."""

from __future__ import annotations

import re

_UNITS = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_UNITS |= {unit + "i": 1024.0 ** (i + 1) for i, unit in enumerate("KMGTPE")}
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)")


def parse(text: str | int | float) -> float:
    """The number that a quantity stands for. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"not a quantity: {text!r}")
    number, exponent, unit = match.groups()
    return float(number + (exponent or "")) * _UNITS[unit or ""]
