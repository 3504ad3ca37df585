"""Events, wishes towards the cluster, and the record of looks at the ML service."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, made_now, parent


class Event(Base):
    """A durable event of one user. No foreign key to media: the sequence keeps its numbers when media are erased."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("user_id", "seq"), Index("ix_events_media_id_seq", "media_id", "seq"))
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = parent("users.id")
    seq: Mapped[int] = mapped_column(BigInteger)
    media_id: Mapped[uuid.UUID | None]
    run_id: Mapped[uuid.UUID | None]
    type: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class EventCounter(Base):
    """The last sequence number of each user; taken last in a transaction."""

    __tablename__ = "event_counters"
    user_id: Mapped[uuid.UUID] = parent("users.id", primary=True)
    last_seq: Mapped[int] = mapped_column(BigInteger)


class Outbox(Base):
    """A wish towards the cluster or the object store: (create, run id) or (erase, media id)."""

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("kind IN ('create', 'erase')", name="kind_known"),
        Index("ix_outbox_due", "next_try_at", postgresql_where=text("rejected_at IS NULL")),
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    next_try_at: Mapped[datetime] = made_now()
    tries: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str | None]
    rejected_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = made_now()


class IdempotencyKey(Base):
    """The first answer to a request that may be repeated."""

    __tablename__ = "idempotency_keys"
    user_id: Mapped[uuid.UUID] = parent("users.id", primary=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str | None]
    status_code: Mapped[int | None]
    response: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class ServerHealth(Base):
    """One look at the ML service."""

    __tablename__ = "server_health"
    __table_args__ = (CheckConstraint("status IN ('HEALTHY', 'DEGRADED', 'UNHEALTHY')", name="status_known"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    status: Mapped[str]
    response_time_ms: Mapped[float | None]
    checked_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    version: Mapped[str | None]
    error_message: Mapped[str | None]
    stats_payload: Mapped[dict[str, Any] | None]
