"""People and the tokens that were handed out to them."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, made_now


class User(Base):
    """A person with an account. `token_generation` rises when all older tokens shall end."""

    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_email_lower", text("lower(email)"), unique=True),
        CheckConstraint("role IN ('USER', 'ADMIN')", name="role_known"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    password_hash: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    bio: Mapped[str | None]
    phone: Mapped[str | None]
    avatar: Mapped[str | None]
    role: Mapped[str] = mapped_column(server_default="USER")
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    token_generation: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = made_now()
    updated_at: Mapped[datetime] = made_now()


class Session(Base):
    """One token that was handed out; `id` is its jti. Valid while not revoked, not expired, and of the user's generation."""

    __tablename__ = "sessions"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    generation: Mapped[int]
    created_at: Mapped[datetime] = made_now()
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
