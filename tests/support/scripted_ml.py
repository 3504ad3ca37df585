"""An ML service that does what a script says: the fault injector of the end-to-end tests. Speaks dialect 3.

`python scripted_ml.py PORT SCRIPT.json`; as a sidecar HOST and PORT of its environment say where. The script is read
anew at each request:
{"models": {"NAME": {"image": true, "video": true, "audio": true, "loaded": true, "do": "answer", "seconds": 0, "fake": 0.9}}}
`do`: a key of ANSWERS below, `busy` (503 until the script changes), or `die` (the whole process ends).
`seconds` and `fake` (claimed probability of FAKE) may be lists: one for each call, the last for all that follow.
`note`: a sentence of a good answer, `data`: more of what it says; `words`: what a refusal of the media says.
Each call is written down in `SCRIPT.json.calls`, one line: the model's name; so a service that was killed counts on.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

app = FastAPI()
SCRIPT = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("script.json")
BOMB_BYTES = 4 * 1024**3
"""What the bomb would be, unpacked."""


def _models() -> dict[str, dict]:
    return json.loads(SCRIPT.read_text())["models"]


@app.get("/readyz")
async def readyz() -> dict:
    return {"status": "ok"}


@app.get("/stats")
async def stats() -> dict:
    infos = [
        {
            "name": name, "class_name": "Scripted", "description": "does what the test says", "loaded": m.get("loaded", True),
            "device": "cpu", "model_path": "", "isAudio": m.get("audio", True), "isVideo": m.get("video", True),
            "isImage": m.get("image", True), "isMultiModal": False, "memory_usage_mb": 1.0, "load_time": 1.0, "inference_count": 0,
        }
        for name, m in _models().items()
    ]  # fmt: skip
    return {
        "service_name": "scripted", "version": "3.0.0", "status": "ok", "uptime_seconds": 3600.0,
        "device_info": {"type": "cpu"}, "system_info": {"python_version": "3"}, "models_info": infos,
        "active_models_count": len(infos), "total_models_count": len(infos), "configuration": {},
    }  # fmt: skip


@app.post("/analyze")
async def analyze(request: Request) -> Response:
    body = await request.body()
    field = re.search(rb'name="model"(?:\r\n[^\r\n]+)*\r\n\r\n([^\r\n]+)\r\n', body)
    name = field[1].decode() if field else ""
    script = _models()[name]
    with open(f"{SCRIPT}.calls", "a+") as calls:
        calls.seek(0)
        call = calls.read().split().count(name)
        calls.write(name + "\n")
    do = script.get("do", "answer")
    await asyncio.sleep(_of_call(script.get("seconds", 0), call))
    if do == "die":
        os._exit(137)
    fake = _of_call(script.get("fake", 0.9), call)
    if do == "answer":
        return _good(name, fake, **{"note": script.get("note"), **script.get("data", {})})
    if do == "bad-media" and "words" in script:
        return JSONResponse({"detail": {"code": "BAD_MEDIA", "message": script["words"]}}, 422)
    return ANSWERS[do](name, fake)


def _of_call(told: float | list[float], call: int) -> float:
    return told[min(call, len(told) - 1)] if isinstance(told, list) else told


def _data(fake: float, **more: object) -> dict:
    return {
        "prediction": "FAKE" if fake >= 0.5 else "REAL", "confidence": max(fake, 1 - fake), "processing_time": 0.01,
        "note": None, "media_type": "image", "dimensions": {"width": 1, "height": 1}, **more,
    }  # fmt: skip


def _whole(name: str, data: dict, **more: object) -> dict:
    return {"success": True, "model_used": name, "timestamp": datetime.now(UTC).isoformat(), "data": data, **more}


def _good(name: str, fake: float, **data: object) -> Response:
    """JSON as Python writes it: with NaN, and with lone surrogates escaped, where the test asks for them."""
    return _raw(json.dumps(_whole(name, _data(fake, **data))))


def _raw(text: str | bytes, status: int = 200, **headers: str) -> Response:
    return Response(text, status, media_type="application/json", headers=headers)


def _error(status: int, detail: object, **headers: str) -> Callable[[str, float], Response]:
    return lambda _name, _fake: JSONResponse({"detail": detail}, status, headers=headers)


def _claims(**data: object) -> Callable[[str, float], Response]:
    return lambda name, fake: _good(name, fake, **data)


def _text(make: Callable[[str], str | bytes]) -> Callable[[str, float], Response]:
    """A body made of the good answer's text."""
    return lambda name, fake: _raw(make(json.dumps(_whole(name, _data(fake)))))


def _frames(count: int) -> Callable[[str, float], Response]:
    def answer(name: str, fake: float) -> Response:
        frames = [{"index": i, "score": (i % 100) / 100, "prediction": "FAKE" if i % 100 >= 50 else "REAL"} for i in range(count)]  # fmt: skip
        return _good(name, fake, frame_predictions=frames, frame_count=count)

    return answer


def _bomb(_name: str, _fake: float) -> Response:
    def packed() -> Iterator[bytes]:
        packer, piece = zlib.compressobj(9, zlib.DEFLATED, 31), b" " * (4 * 1024**2)
        yield packer.compress(b'{"success": true, "data": {"note": "')
        for _ in range(BOMB_BYTES // len(piece)):
            yield packer.compress(piece)
        yield packer.flush()

    return StreamingResponse(packed(), media_type="application/json", headers={"Content-Encoding": "gzip"})


def _cut(name: str, fake: float) -> Response:
    """The first half of what was announced; then the connection breaks."""
    text = json.dumps(_whole(name, _data(fake))).encode()

    async def half() -> AsyncIterator[bytes]:
        yield text[: len(text) // 2]
        await asyncio.sleep(0.05)
        raise ConnectionAbortedError("scripted cut")

    return StreamingResponse(half(), headers={"Content-Length": str(len(text)), "Content-Type": "application/json"})


ANSWERS: dict[str, Callable[[str, float], Response]] = {
    "answer": _good,
    # About the media.
    "bad-media": _error(422, {"code": "BAD_MEDIA", "message": "scripted: this file is broken"}),
    "too-large": _error(413, "scripted: too large"),
    "no-codec": _error(400, "scripted: this codec is unknown"),
    # About the request, and about the service.
    "refused": _error(401, "scripted: who are you?"),
    "invalid": _error(422, [{"loc": ["body", "media"], "msg": "scripted: field required"}]),
    "not-there": _error(404, "Not Found"),
    "not-made": _error(501, "scripted: not implemented"),
    "busy": _error(503, "scripted: busy", **{"Retry-After": "1"}),
    "broken": _error(500, "scripted: out of order"),
    "bad-gateway": lambda _name, _fake: PlainTextResponse("<html>502</html>", 502),
    "redirect": lambda _name, _fake: Response(status_code=307, headers={"Location": "/stats"}),
    # No JSON, or no good one.
    "html": lambda _name, _fake: Response("<html><body>It works!</body></html>", media_type="text/html"),
    "half": _text(lambda text: text[: len(text) // 2]),
    "cut": _cut,
    "twice": _text(lambda text: text.replace('"prediction"', '"prediction": "REAL", "prediction"', 1)),
    "nested": _text(lambda text: text.replace("null", "[" * 100_000 + "]" * 100_000, 1)),
    "crowded": _text(lambda text: text.replace("null", "[" + "{}," * 600_000 + "{}]", 1)),
    "digits": _text(lambda text: text.replace("0.01", "9" * 5000, 1)),
    "endless": _text(lambda text: text.replace("null", '"' + "words, " * 3_000_000 + '"', 1)),
    "bomb": _bomb,
    "nan": _claims(confidence=float("nan")),
    "nan-deep": _claims(metrics={"a": {"b": float("inf")}}),
    # A good JSON that says what cannot be.
    "sure": _claims(confidence=1.7),
    "maybe": _claims(prediction="MAYBE"),
    "frame-off": _claims(frame_predictions=[{"index": 0, "score": -0.2}]),
    "frames-over": _frames(200_001),
    "other-model": lambda _name, fake: _good("SOMEBODY-ELSE", fake),
    "other-media": _claims(mediaId="01a20393-c3cf-712b-8ac1-8a9e374d139d"),
    "failed": lambda name, fake: _raw(json.dumps(_whole(name, _data(fake), success=False))),
    # Strange, and yet an answer.
    "frames": _frames(100_000),
    "unstorable": _claims(note="a\x00b\ud800c", metrics={"k\x00": "v\udfff"}, limits=["x\x00y"]),
    "huge": _claims(frame_count=10**400, processing_time=1e308, metrics={"big": 1e308, "bigger": 10**400}),
}


if __name__ == "__main__":
    beside = "HOST" in os.environ and "PORT" in os.environ
    host, port = (os.environ["HOST"], os.environ["PORT"]) if beside else ("127.0.0.1", sys.argv[1])
    uvicorn.run(app, host=host, port=int(port), log_level="warning")
