"""Why a target is missed, for the page: one sentence or two per target, shown only while it is missed."""

from __future__ import annotations

REASONS: dict[str, str] = {}
