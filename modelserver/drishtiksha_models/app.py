"""The HTTP door of the model service: the ML contract, dialects 3 and 2. Routes translate; `service.py` does the work.

`forms.py` is the table of the routes that examine; all of them are served by the same lines below.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.types import Receive, Scope, Send

from . import intake, metrics
from .dialect_2 import PICTURES
from .forms import FORMS, MODEL, Form
from .intake import Refused
from .service import Service, Tell
from .settings import ModelService
from .shelf import SECONDS
from .stats import SERVICE_VERSION, stats

NDJSON = "application/x-ndjson"


def create(settings: ModelService) -> FastAPI:
    """The application; its lifespan owns the workers."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Service(settings) as app.state.service:
            yield

    app = FastAPI(title="Drishtiksha model service", version=SERVICE_VERSION, lifespan=lifespan, docs_url=None,
                  redoc_url=None)  # fmt: skip
    app.add_exception_handler(Refused, _refusal)
    app.add_api_route("/stats", _stats, methods=["GET"], dependencies=[Depends(_keyed)])
    for form in FORMS:
        app.add_api_route(form.path, _analyze(form), methods=["POST"], dependencies=[Depends(_keyed)],
                          response_model=None, openapi_extra=form.described())  # fmt: skip
    app.add_api_route(f"/{PICTURES}/{{name}}", _picture, methods=["GET"], dependencies=[Depends(_keyed)])
    app.add_api_route("/healthz", _healthz, methods=["GET"])
    app.add_api_route("/readyz", _readyz, methods=["GET"])
    app.add_api_route("/metrics", _metrics, methods=["GET"])
    return app


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _keyed(request: Request) -> None:
    """The key, compared in constant time, before a byte of the body is read."""
    key = _service(request).settings.api_key
    if key is None:
        return
    given = request.headers.get("x-api-key", "").encode()
    if not hmac.compare_digest(given, key.get_secret_value().encode()):
        raise Refused(401, "The X-API-Key header is missing or wrong.")


async def _refusal(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    if error.status in (401, 413):
        headers["Connection"] = "close"  # so that the rest of the body is not read either
    return JSONResponse({"detail": error.detail}, error.status, headers)


async def _stats(request: Request) -> dict[str, Any]:
    """What is loaded. Waits a moment for the detectors, so that nobody reads an empty list as "no models"."""
    service = _service(request)
    if not await service.loaded(8.0):
        raise Refused(503, "The detectors are still being loaded.", retry_after=5)
    pool = service.pool
    return stats(service.settings, service.models, pool.inferences, service.uptime, pool.memory_mb)


async def _healthz() -> dict[str, str]:
    return {"status": "ok"}


async def _readyz(request: Request) -> Response:
    """200 once a worker has tried to load every active detector, also when some could not be."""
    ready = _service(request).pool.ready.is_set()
    return JSONResponse({"status": "ready" if ready else "loading the detectors"}, 200 if ready else 503)


async def _metrics(request: Request) -> Response:
    return Response(metrics.text(_service(request)), media_type=CONTENT_TYPE_LATEST)


def _analyze(form: Form) -> Callable[[Request], Awaitable[Response]]:
    """The route of one form."""

    async def analyze(request: Request) -> Response:
        """Take a place, take the upload, then answer as JSON or, when asked for, line by line."""
        service, settings = _service(request), _service(request).settings
        deadline = asyncio.get_running_loop().time() + settings.analysis_deadline
        headers, most = request.headers, settings.max_upload_bytes
        mark = intake.boundary(headers.get("content-type", ""), headers.get("content-length"), most)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(service.place())
            upload = await intake.receive(
                request.stream(), mark, service.folder, most, settings.body_silence, form.file_field
            )
            stack.callback(upload.path.unlink, missing_ok=True)
            wished, upload.fields = form.wished(upload.fields), form.ours(upload.fields)
            model = upload.fields[MODEL]
            await service.known(model)

            async def work(tell: Tell) -> dict[str, Any]:
                answer = await service.analyze(model, upload, deadline, tell, form.only)
                return form.turned(answer, wished, service.shelf.keep)

            if NDJSON in headers.get("accept", ""):
                return _Streamed(_lines(work), stack.pop_all())
            return JSONResponse(await _whole(request, work(service.publish(upload))))

    return analyze


async def _picture(request: Request, name: str) -> Response:
    """A picture that an answer of dialect 2 has named a moment ago."""
    kept = _service(request).shelf.find(name)
    if kept is None:
        raise Refused(404, f"There is no such picture; each is kept for {SECONDS:.0f} seconds after its answer.")
    headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    return Response(kept.content, media_type=kept.mimetype, headers=headers)


async def _whole(request: Request, working: Coroutine[None, None, dict[str, Any]]) -> dict[str, Any]:
    """The answer in one piece; given up when the client leaves."""
    work = asyncio.create_task(working)
    gone = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Refused(499, "The client left before the answer.")
        return work.result()
    finally:
        await _stop(work, gone)


async def _lines(working: Callable[[Tell], Coroutine[None, None, dict[str, Any]]]) -> AsyncGenerator[bytes, None]:
    """Progress as it comes, then the result or the error; given up when the client leaves."""
    news: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    work = asyncio.create_task(working(lambda p: news.put_nowait({"progress": p})))
    work.add_done_callback(lambda _task: news.put_nowait(None))
    try:
        while (line := await news.get()) is not None:
            yield _line(line)
        try:
            last: dict[str, Any] = {"result": work.result()}
        except Refused as error:
            last = {"error": {"status": error.status, "detail": error.detail}}
        yield _line(last)
    finally:
        await _stop(work)


class _Streamed(StreamingResponse):
    """Lines whose place and file are given back when they end, also when the client leaves before the first."""

    def __init__(self, lines: AsyncGenerator[bytes, None], held: contextlib.AsyncExitStack) -> None:
        super().__init__(lines, media_type=NDJSON)
        self._lines = lines
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held, contextlib.aclosing(self._lines):
            await super().__call__(scope, receive, send)


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


async def _left(request: Request) -> None:
    """Returns when the client has gone; the body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
