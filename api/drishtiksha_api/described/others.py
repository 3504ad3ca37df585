"""People, events, and what is told of the ML service and the queue."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from .values import Anything, Described, Finite, Id, Moment, Share


class User(Described):
    """An account."""

    id: Id
    email: str
    first_name: str
    last_name: str
    bio: str | None
    phone: str | None
    avatar: str | None
    role: Literal["USER", "ADMIN"]
    is_active: bool
    created_at: Moment
    updated_at: Moment


class Welcome(Described):
    """An account and a token for it."""

    user: User
    token: str = Field(examples=["eyJhbGciOiJIUzI1NiJ9.e30.c2ln"])


class Event(Described):
    """A stored event, as Socket.IO tells it; `seq` counts the events of one user without a gap."""

    seq: int = Field(ge=1)
    id: Id | None
    media_id: Id | None
    user_id: Id
    run_id: Id | None
    event: str
    message: str
    data: dict[str, Any]
    timestamp: Moment


class Alive(Described):
    """The process answers."""

    status: Literal["ok"]


class Ready(Described):
    """Whether all neighbours are there, and who is not."""

    status: Literal["ok", "unavailable"]
    missing: dict[str, str]


class ServerStatus(Described):
    """What the ML service says of itself, in camelCase, the four oldest keys also as received."""

    model_config = ConfigDict(extra="allow")

    response_time: Finite
    response_time_ms: Finite
    cached_at: Moment


class PastLook(Described):
    """How the ML service was found once; milliseconds."""

    id: Id
    status: Literal["HEALTHY", "DEGRADED", "UNHEALTHY"]
    response_time_ms: Finite | None
    response_time: Finite | None
    checked_at: Moment
    version: str | None
    error_message: str | None
    stats_payload: Anything


class QueueStatus(Described):
    """Analyses of all users, by state; each number under an older name, too."""

    pending: int
    active: int
    completed: int
    failed: int
    delayed: int
    pending_jobs: int
    active_jobs: int
    completed_jobs: int
    failed_jobs: int
    delayed_jobs: int


class Figures(Described):
    """How analyses ended; seconds."""

    total: int
    successful: int
    failed: int
    avg_processing_time: Finite | None
    success_rate: Share | None


class Period(Described):
    """From after `start` up to `end`."""

    start: Moment
    end: Moment


class Outcomes(Figures):
    """How all analyses of a period ended, and those of each model."""

    timeframe: Literal["1h", "24h", "7d", "30d"]
    period: Period
    models: dict[str, Figures]
