"""Server-side apply: who owns which field, what is taken over, what goes when its owner no longer wants it. Pure.

A field is a path of names; an element of a list that is a map is named by the tuple of its keys. `store` keeps the owners.
"""

from __future__ import annotations

import copy
from typing import Any

from .kinds import Object
from .schema import Node, map_keys

Path = tuple[Any, ...]
Owners = dict[str, set[Path]]
"""By field manager: the fields that it owns."""

_NOTHING = object()
_KEYS = ("name", "type")
"""Fields by which the lists of our status are maps: they go last, with their entry."""


def leaves(node: Node, value: Any, path: Path = ()) -> dict[Path, Any]:
    """All fields with their values; what the schema does not see into is one field."""
    found: dict[Path, Any] = {}
    keys = map_keys(node)
    if isinstance(value, dict) and "properties" in node:
        for name, child in value.items():
            found |= leaves(node["properties"].get(name, {}), child, (*path, name))
    elif isinstance(value, list) and keys:
        for child in value:
            found |= leaves(node["items"], child, (*path, tuple(child.get(k) for k in keys)))
    else:
        found[path] = value
    return found


def applied(node: Node, live: Object, wanted: Object, owners: Owners, manager: str) -> tuple[Object, list[str]]:
    """The object after `manager` applied `wanted`, and whose fields it took over; `owners` is brought up to date."""
    before, asked = leaves(node, live), leaves(node, wanted)
    taken: list[str] = []
    for other, fields in owners.items():
        if other != manager:
            lost = {f for f in fields & set(asked) if before.get(f, _NOTHING) != asked[f]}
            taken += [other] * bool(lost)
            fields.difference_update(lost)
    kept = set().union(*(fields for other, fields in owners.items() if other != manager)) if owners else set()
    dropped = owners.get(manager, set()) - set(asked) - kept
    owners[manager] = set(asked)
    merged = _merged(node, live, wanted)
    for path in sorted(dropped, key=lambda path: (-len(path), path[-1] in _KEYS, str(path))):
        _without(node, merged, path)
    return merged, taken


def updated(node: Node, old: Object, new: Object, owners: Owners, manager: str) -> None:
    """Somebody wrote without applying: what changed is hers."""
    before, after = leaves(node, old), leaves(node, new)
    changed = {path for path in before.keys() | after.keys() if before.get(path, _NOTHING) != after.get(path, _NOTHING)}
    for fields in owners.values():
        fields.difference_update(changed)
    owners.setdefault(manager, set()).update(changed & set(after))


def _merged(node: Node, live: Any, wanted: Any) -> Any:
    keys = map_keys(node)
    if isinstance(live, dict) and isinstance(wanted, dict) and "properties" in node:
        made = copy.deepcopy(live)
        for name, child in wanted.items():
            made[name] = _merged(node["properties"].get(name, {}), made.get(name), child)
        return made
    if isinstance(live, list) and isinstance(wanted, list) and keys:
        there = {tuple(c.get(k) for k in keys): c for c in live}
        asked = {tuple(c.get(k) for k in keys): c for c in wanted}
        mine = [_merged(node["items"], there.get(key), child) for key, child in asked.items()]
        return mine + [copy.deepcopy(child) for key, child in there.items() if key not in asked]
    return copy.deepcopy(wanted)


def _without(node: Node, value: Any, path: Path) -> None:
    """Take one field out, and what it leaves empty."""
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        if step not in value:
            return
        if rest:
            _without(node["properties"].get(step, {}), value[step], rest)
        if not rest or value[step] in ({}, []):
            del value[step]
    elif isinstance(value, list):
        keys = map_keys(node) or ()
        child = next((c for c in value if tuple(c.get(k) for k in keys) == step), None)
        if child is None:
            return
        if rest and rest[0] not in keys:
            _without(node["items"], child, rest)
        elif set(child) <= set(keys):  # nobody wants anything of this entry any more
            value.remove(child)
