"""Merging a profile's raw overlay into a pod's spec; `manifests` calls it last. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merged(base: Any, overlay: Any) -> Any:
    """`base` with `overlay` laid over it: objects key by key, lists of named things by name, all else replaced.

    A null in the overlay takes a key away. Neither argument is changed.
    """
    if isinstance(base, Mapping) and isinstance(overlay, Mapping):
        out = {key: value for key, value in base.items() if not (key in overlay and overlay[key] is None)}
        for key, value in overlay.items():
            if value is not None:
                out[key] = merged(base[key], value) if key in base else value
        return out
    if _named(base) and _named(overlay):
        over = {item["name"]: item for item in overlay}
        kept = [merged(item, over.pop(item["name"])) if item["name"] in over else item for item in base]
        return [*kept, *over.values()]
    return overlay


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(i, Mapping) and "name" in i for i in value)
