"""What an ML service says about itself at `/stats`: which dialect it speaks, and whether our model is there. Pure.

`model` asks and waits; this module only reads the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from drishtiksha.domain.dialect import spoken

from .faults import storable


class Presence(StrEnum):
    """Where a model stands in a service's list."""

    LOADED = "LOADED"
    NOT_LOADED = "NOT_LOADED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Service:
    """One look at a service. `uptime` in seconds, None when it was not told."""

    version: str | None
    presence: Presence
    uptime: float | None
    model_version: str | None = None
    why_not: str | None = None
    model_info: dict[str, object] = field(default_factory=dict)
    system_info: dict[str, object] = field(default_factory=dict)

    def dialect(self, wanted: str) -> int:
        """2 or 3, as set, else by the service's version."""
        return spoken(wanted, self.version)


def read(stats: dict[str, object], model: str, node_name: str = "") -> Service:
    """Read a `/stats` answer; what is missing or of another type is left out."""
    entry = _entry(stats, model)
    if entry is None:
        presence = Presence.UNKNOWN
    else:
        presence = Presence.LOADED if entry.get("loaded") is True else Presence.NOT_LOADED
    entry = entry or {}
    system = _object(stats.get("system_info"))
    device = _object(stats.get("device_info"))
    version = _text(stats.get("version"))
    return Service(
        version=version,
        presence=presence,
        uptime=_number(stats.get("uptime_seconds")),
        model_version=_text(entry.get("version")),
        why_not=_text(entry.get("reason")) or _text(entry.get("error")),
        model_info=_present(
            description=_text(entry.get("description"), 4000),
            className=_text(entry.get("class_name")),
            device=_text(entry.get("device")),
            memoryUsageMb=_number(entry.get("memory_usage_mb")),
            loadTimeMs=_number(entry.get("load_time")),
        ),
        system_info=_present(
            serverVersion=version,
            pythonVersion=_text(system.get("python_version")),
            processingDevice=_text(entry.get("device")) or _text(device.get("device")) or _text(device.get("type")),
            nodeName=node_name or None,
        ),
    )


def _entry(stats: dict[str, object], model: str) -> dict[str, object] | None:
    listed = stats.get("models_info")
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and entry.get("name") == model:
            return entry
    return None


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object, limit: int = 200) -> str | None:
    return storable(value, limit) or None if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
        return None
    return float(value)


def _present(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}
