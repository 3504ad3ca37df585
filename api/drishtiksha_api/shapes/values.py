"""The small words of all shapes: times, camelCase rows."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from pydantic.alias_generators import to_camel

_camel = cache(to_camel)
"""There are few names of columns, and many rows."""


def moment(value: datetime) -> str:
    """ISO 8601, UTC, milliseconds, `Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_moment(value: datetime | None) -> str | None:
    """The same, null where there is none."""
    return None if value is None else moment(value)


def columns(row: Any, *names: str) -> dict[str, Any]:
    """Columns of a row under their camelCase names."""
    return {_camel(name): getattr(row, name) for name in names}


def with_unit(value: float | None, unit: str) -> str | None:
    """`512.0 MB`; null where there is no number."""
    return None if value is None else f"{value:.1f} {unit}"
