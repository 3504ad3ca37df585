"""Accepted uploads, and what the probe saw in them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    SmallInteger,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ...domain.media import MediaType
from ...domain.status import RunStatus
from .base import Base, made_now, one_of, parent

if TYPE_CHECKING:
    from .people import User
    from .runs import Run


class Media(Base):
    """An accepted upload. Its status is that of its latest run; `deleted_at` makes it a tombstone until it is erased."""

    __tablename__ = "media"
    __table_args__ = (
        one_of("media_type", MediaType),
        one_of("status", RunStatus),
        CheckConstraint("size > 0", name="size_positive"),
        CheckConstraint("latest_run_number >= 1", name="latest_run_number_positive"),
        Index("ix_media_user_id_created_at", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_media_user_id_filename", "user_id", "filename", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_media_user_id_size", "user_id", "size", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_media_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = parent("users.id")
    filename: Mapped[str]
    description: Mapped[str | None]
    object_key: Mapped[str] = mapped_column(unique=True)
    mimetype: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(index=True)
    media_type: Mapped[str]
    has_audio: Mapped[bool]
    status: Mapped[str]
    latest_run_id: Mapped[uuid.UUID]
    latest_run_number: Mapped[int]
    created_at: Mapped[datetime] = made_now()
    updated_at: Mapped[datetime] = made_now()
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise", viewonly=True)
    video: Mapped[VideoMetadata | None] = relationship(lazy="raise", viewonly=True)
    image: Mapped[ImageMetadata | None] = relationship(lazy="raise", viewonly=True)
    audio: Mapped[AudioMetadata | None] = relationship(lazy="raise", viewonly=True)
    runs: Mapped[list[Run]] = relationship(lazy="raise", viewonly=True, order_by="Run.number.desc()")


class VideoMetadata(Base):
    """What the probe saw in a video: seconds, pixels, frames per second, bit/s, degrees."""

    __tablename__ = "video_metadata"
    media_id: Mapped[uuid.UUID] = parent("media.id", primary=True)
    duration: Mapped[float | None]
    width: Mapped[int]
    height: Mapped[int]
    fps: Mapped[float | None]
    codec: Mapped[str]
    bitrate: Mapped[int | None] = mapped_column(BigInteger)
    rotation: Mapped[int] = mapped_column(SmallInteger)


class ImageMetadata(Base):
    """What the probe saw in a picture: pixels, format, colour mode."""

    __tablename__ = "image_metadata"
    media_id: Mapped[uuid.UUID] = parent("media.id", primary=True)
    width: Mapped[int]
    height: Mapped[int]
    format: Mapped[str]
    color_space: Mapped[str]
    animated: Mapped[bool]


class AudioMetadata(Base):
    """What the probe saw in the audio stream: seconds, kbit/s, Hz."""

    __tablename__ = "audio_metadata"
    media_id: Mapped[uuid.UUID] = parent("media.id", primary=True)
    duration: Mapped[float | None]
    bitrate: Mapped[float | None]
    codec: Mapped[str]
    channels: Mapped[int] = mapped_column(SmallInteger)
    sample_rate: Mapped[int]
