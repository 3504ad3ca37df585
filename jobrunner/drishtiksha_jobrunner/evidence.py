"""Turns a model's evidence (curves, places, facts, figures) into the shapes of the runner protocol. Pure.

What does not fit in the tables is cut with a sentence in `limits`; the model's whole answer is kept as an artifact
beside them. `answer` stands above it.
"""

from __future__ import annotations

import json
import math

from .body import contract
from .faults import storable

MAX_POINTS = 20_000
MAX_SERIES = 64
MAX_REGIONS = 5_000
MAX_ENTRIES = 500
_SHORT = 200
_DEPTH = 4


def number(value: object) -> float | None:
    """A finite number, or None. Truth values are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) else None


def text(value: object, limit: int = 4000) -> str | None:
    """A storable text of at most `limit` characters, or None."""
    return storable(value, limit) if isinstance(value, str) else None


def mapping(value: object) -> dict[str, object]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def score(value: object, what: str) -> float:
    """A number in 0..1. Raises Fault ML_CONTRACT otherwise."""
    checked = number(value)
    if checked is None or not 0 <= checked <= 1:
        raise contract(f"The model's {what} is no number between 0 and 1.", json.dumps(value, default=str)[:200])
    return checked


class Tables:
    """Collects what becomes rows: figures, facts, curves; and says in `limits` what had to be left out."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.facts: dict[str, object] = {}
        self.series: list[dict[str, object]] = []
        self.regions: list[dict[str, object]] = []
        self.limits: list[str] = []

    def left_out(self, sentence: str) -> None:
        """Say once what the reader does not see here."""
        if sentence not in self.limits:
            self.limits.append(sentence)

    def take(self, values: dict[str, object], times: list[float], prefix: str = "", depth: int = 0) -> None:
        """Sort a model's free figures: numbers to metrics, arrays of numbers to series, other scalars to facts.

        Nested objects become dotted names. `times`: the frames' times in seconds, used for arrays of their length.
        """
        for key, value in values.items():
            name = storable(prefix + str(key), _SHORT)
            if (as_number := number(value)) is not None:
                self._put(self.metrics, name, as_number)
            elif isinstance(value, dict) and depth < _DEPTH:
                self.take(value, times, f"{name}.", depth + 1)
            elif isinstance(value, list) and value and all(v is None or number(v) is not None for v in value):
                points = [number(v) for v in value]
                at = times if len(times) == len(points) else [float(i) for i in range(len(points))]
                self._curve({"name": name, "t": at, "v": points})
            elif value is not None:
                self.fact(name, value)

    def fact(self, name: str, value: object) -> None:
        """One fact: a number, truth value or text as it is; anything else as its JSON text."""
        if isinstance(value, str):
            plain: object = storable(value)
        elif value is None or isinstance(value, bool):
            plain = value
        elif (as_number := number(value)) is not None:
            plain = as_number
        else:
            plain = storable(json.dumps(value, ensure_ascii=False, default=str))
        self._put(self.facts, storable(name, _SHORT), plain)

    def curves(self, listed: object) -> None:
        """The extension's `evidence.series`. Raises Fault ML_CONTRACT for one that is no curve."""
        for curve in _list(listed, "series"):
            entry = mapping(curve)
            t, v = entry.get("t"), entry.get("v")
            if not isinstance(t, list) or not isinstance(v, list) or len(t) != len(v):
                raise contract("A series of the model has not as many values as times.")
            at, values = [number(x) for x in t], [number(x) for x in v]
            if any(x is None for x in at) or any(x is None and y is not None for x, y in zip(values, v, strict=True)):
                raise contract("A series of the model holds something that is no finite number.")
            made: dict[str, object] = {"name": text(entry.get("name"), _SHORT) or "series", "t": at, "v": values}
            if unit := text(entry.get("unit"), _SHORT):
                made["unit"] = unit
            if (threshold := number(entry.get("threshold"))) is not None:
                made["threshold"] = threshold
            self._curve(made)

    def places(self, listed: object) -> None:
        """The extension's `evidence.regions`. Raises Fault ML_CONTRACT for a box that is none."""
        for region in _list(listed, "regions"):
            entry = mapping(region)
            box = entry.get("box")
            corners = [number(x) for x in box] if isinstance(box, list) else []
            if len(corners) != 4 or None in corners:
                raise contract("A region of the model has no box of four numbers.")
            made: dict[str, object] = {"box": corners, "label": text(entry.get("label"), _SHORT) or ""}
            for key in ("t", "score"):
                if (value := number(entry.get(key))) is not None:
                    made[key] = value
            if len(self.regions) == MAX_REGIONS:
                self.left_out(f"Only the first {MAX_REGIONS} regions are listed; all are in ml-response.")
                break
            self.regions.append(made)

    def _curve(self, curve: dict[str, object]) -> None:
        if len(self.series) == MAX_SERIES:
            self.left_out(f"Only the first {MAX_SERIES} series are listed; all are in ml-response.")
            return
        if thin(curve, MAX_POINTS):
            self.left_out(f"Series are thinned evenly to {MAX_POINTS} points; all points are in ml-response.")
        self.series.append(curve)

    def _put(self, where: dict, name: str, value: object) -> None:
        if name not in where and len(where) == MAX_ENTRIES:
            self.left_out(f"Only the first {MAX_ENTRIES} figures are listed; all are in ml-response.")
            return
        where[name] = value


def thin(curve: dict[str, object], most: int) -> bool:
    """Keep at most `most` evenly spaced points, the first and the last among them. True if any went."""
    t, v = curve["t"], curve["v"]
    if not isinstance(t, list) or not isinstance(v, list) or len(t) <= most:
        return False
    kept = [round(i * (len(t) - 1) / (most - 1)) for i in range(most)]
    curve["t"], curve["v"] = [t[i] for i in kept], [v[i] for i in kept]
    return True


def _list(value: object, what: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise contract(f"The model's {what} are no list.")
    return value
