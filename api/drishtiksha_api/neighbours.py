"""Everything that the api and the door stand on, built once from the settings and handed to the routes.

`open_neighbours` makes the clients; it does not wait for anybody: readiness says who is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from drishtiksha import settings
from drishtiksha.bus import Bus
from drishtiksha.database.session import Database
from drishtiksha.objects import Objects
from drishtiksha.objects.providers import open_objects
from drishtiksha.signing import SigningKeys


@dataclass(frozen=True)
class Neighbours:
    """What both processes of this package use."""

    database: Database
    bus: Bus
    objects: Objects
    keys: SigningKeys
    url_lifetime: float
    redirect: float | None = None
    """Seconds for which an address of the store's own is good, where clients are sent there for bytes."""

    async def close(self) -> None:
        """Close all connections."""
        await self.bus.close()
        await self.database.close()


def open_neighbours(process: str) -> Neighbours:
    """Clients for PostgreSQL, Redis and the object store. Raises BadSettings."""
    database, redis = settings.load(settings.Database), settings.load(settings.Redis)
    signing = settings.load(settings.Signing)
    return Neighbours(
        database=Database(
            database.url.get_secret_value(),
            pool_size=database.pool_size,
            statement_timeout=database.statement_timeout,
            application=process,
        ),
        bus=Bus(redis.url.get_secret_value()),
        objects=open_objects(),
        keys=SigningKeys(signing.keys.get_secret_value()),
        url_lifetime=signing.url_lifetime,
        redirect=settings.load(settings.Storage).redirect,
    )


def neighbours_of(request: Request) -> Neighbours:
    """The neighbours of the application that serves this request."""
    return cast(Neighbours, request.app.state.neighbours)
