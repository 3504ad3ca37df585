"""A user as clients see her."""

from __future__ import annotations

from typing import Any

from drishtiksha.database.tables import User

from .values import columns, moment


def user(row: User) -> dict[str, Any]:
    """The account without its secrets."""
    return {
        "id": str(row.id),
        **columns(row, "email", "first_name", "last_name", "bio", "phone", "avatar", "role", "is_active"),
        "createdAt": moment(row.created_at),
        "updatedAt": moment(row.updated_at),
    }


def owner(row: User) -> dict[str, Any]:
    """The short form inside a media."""
    return {"id": str(row.id), **columns(row, "first_name", "last_name", "email")}
