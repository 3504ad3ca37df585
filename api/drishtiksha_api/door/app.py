"""The door as an application of its own: its routes, and nothing of the public api."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from drishtiksha.database.results import Results
from drishtiksha_api import envelope
from drishtiksha_api.edge import Edge
from drishtiksha_api.neighbours import Neighbours

from .places import Places, Throttle
from .routes import router


def build(neighbours: Neighbours) -> ASGIApp:
    """The ASGI application of the door."""
    app = FastAPI(
        title="Drishtiksha runner protocol", version="1", redirect_slashes=False, docs_url=None, redoc_url=None
    )
    app.state.neighbours = neighbours
    app.state.results = Results(neighbours.database)
    app.state.places = Places()
    app.state.throttle = Throttle()
    app.include_router(router)
    envelope.install(app)
    return Edge(app)
