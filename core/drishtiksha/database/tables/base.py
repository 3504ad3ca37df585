"""What all tables share: names of constraints, types of columns, checks of enums, a parent that takes its children along."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    MetaData,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Naming conventions, so that migrations can name what they change."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy
        datetime: DateTime(timezone=True),
        uuid.UUID: Uuid,
        str: Text,
        float: Float(53),
        dict[str, Any]: JSONB,
    }


def one_of(column: str, members: type[StrEnum], *, nullable: bool = False) -> CheckConstraint:
    """CHECK that a text column holds a member of an enum."""
    values = ", ".join(f"'{m.value}'" for m in members)
    null = f"{column} IS NULL OR " if nullable else ""
    return CheckConstraint(f"{null}{column} IN ({values})", name=f"{column}_known")


def made_now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def parent(target: str, *, primary: bool = False) -> Mapped[uuid.UUID]:
    return mapped_column(ForeignKey(target, ondelete="CASCADE"), primary_key=primary)
