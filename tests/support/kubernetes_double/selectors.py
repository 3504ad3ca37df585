"""Label and field selectors, as the API server reads them. `store` asks them of lists and watches."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .kinds import Kind, Object, Refusal, at

Match = Callable[[Object], bool]

_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s*\(([^()]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([^=!\s]+)\s*(==|=|!=)\s*([^=!\s]*)\s*$")
_THERE = re.compile(r"^\s*(!?)\s*([A-Za-z0-9][\w./-]*)\s*$")
_COMMA = re.compile(r",(?![^()]*\))")


def matching(kind: Kind, labels: str | None, fields: str | None) -> Match:
    """Whether an object is selected. Raises Refusal (400) for what cannot be read or selected by."""
    asked = [_label(term) for term in _COMMA.split(labels)] if labels else []
    wanted = [_field(kind, term) for term in fields.split(",")] if fields else []
    return lambda body: all(a(body["metadata"].get("labels") or {}) for a in asked) and all(w(body) for w in wanted)


def _label(term: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(term):
        key, how, values = found[1], found[2], {v.strip() for v in found[3].split(",")}
        return lambda labels: (labels.get(key) in values) == (how == "in")
    if found := _EQUAL.match(term):
        key, how, value = found[1], found[2], found[3]
        return lambda labels: (labels.get(key) == value) == (how != "!=")
    if found := _THERE.match(term):
        key, there = found[2], not found[1]
        return lambda labels: (key in labels) == there
    raise Refusal(400, "BadRequest", f"unable to parse requirement: {term!r}")


def _field(kind: Kind, term: str) -> Match:
    found = _EQUAL.match(term)
    if found is None:
        raise Refusal(400, "BadRequest", f"invalid field selector: {term!r}")
    path, how, value = found[1], found[2], found[3]
    if path not in ("metadata.name", "metadata.namespace", *kind.fields):
        raise Refusal(400, "BadRequest", f"field label not supported: {path}")

    def holds(body: Object) -> bool:
        there: Any = at(body, path)
        return (str(there if there is not None else "") == value) == (how != "!=")

    return holds
