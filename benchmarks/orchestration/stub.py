"""A door and an ML service that answer at once: `python stub.py PORT`. The neighbours of the bare side; its ML part
also serves the platform, so that both sides ask the same models.

`GET /told` says how many assignments and results it has seen, and when the last result came (Unix seconds).
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

MODELS = ("BENCH-A", "BENCH-B", "BENCH-C")
"""The three models of each run."""


class Stub:
    """What it has seen, and its routes. `media` are the bytes that it hands out as every attempt's original."""

    def __init__(self, media: bytes) -> None:
        self.media, self.digest = media, hashlib.sha256(media).hexdigest()
        self.assignments = self.results = self.failures = 0
        self.last_result = 0.0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.get("/internal/v1/attempt", self.attempt),
                web.get("/internal/v1/attempt/media", self.bytes_of_media),
                web.post("/internal/v1/attempt/progress", self.taken),
                web.put("/internal/v1/attempt/artifacts/{name}", self.taken),
                web.put("/internal/v1/attempt/result", self.result),
                web.put("/internal/v1/attempt/failure", self.failure),
                web.get("/stats", self.stats),
                web.post("/analyze", self.analyze),
                web.get("/told", self.told),
            ]
        )
        return app

    async def attempt(self, request: web.Request) -> web.Response:
        self.assignments += 1
        model = request.headers.get("Authorization", "").removeprefix("Bearer ").partition(".")[0]
        known = model if model in MODELS else MODELS[0]
        return web.json_response(
            {
                "attempt": {"id": f"bench-{self.assignments}", "number": 1},
                "analysis": {"id": f"bench-{self.assignments}", "model": known, "modelVersion": ""},
                "run": {"id": "bench"},
                "media": {
                    "id": "bench", "userId": "bench", "type": "IMAGE", "mimetype": "image/png",
                    "size": len(self.media), "sha256": self.digest, "hasAudio": False,
                },
                "deadline": datetime.fromtimestamp(time.time() + 1800, UTC).isoformat(), "secondsLeft": 1800.0,
            }
        )  # fmt: skip

    async def bytes_of_media(self, request: web.Request) -> web.Response:
        return web.Response(body=self.media, content_type="image/png")

    async def taken(self, request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({})

    async def result(self, request: web.Request) -> web.Response:
        await request.read()
        self.results += 1
        self.last_result = time.time()
        return web.json_response({"accepted": True})

    async def failure(self, request: web.Request) -> web.Response:
        print((await request.read()).decode("utf-8", "replace"), flush=True)
        self.failures += 1
        return web.json_response({})

    async def told(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "assignments": self.assignments,
                "results": self.results,
                "failures": self.failures,
                "last": self.last_result,
            }
        )

    async def stats(self, request: web.Request) -> web.Response:
        infos = [
            {
                "name": name, "class_name": "Stub", "description": "answers at once", "loaded": True, "device": "cpu",
                "model_path": "", "isAudio": True, "isVideo": True, "isImage": True, "isMultiModal": False,
                "memory_usage_mb": 1.0, "load_time": 1.0, "inference_count": 0, "version": "1",
            }
            for name in MODELS
        ]  # fmt: skip
        return web.json_response(
            {
                "service_name": "stub", "version": "3.0.0", "status": "ok", "uptime_seconds": 3600.0,
                "device_info": {"type": "cpu"}, "system_info": {"python_version": "3"}, "models_info": infos,
                "active_models_count": len(infos), "total_models_count": len(infos), "configuration": {},
            }
        )  # fmt: skip

    async def analyze(self, request: web.Request) -> web.Response:
        model = ""
        async for part in await request.multipart():
            if getattr(part, "name", None) == "model":
                model = (await part.read()).decode()  # type: ignore[union-attr]
            else:
                await part.release()  # type: ignore[union-attr]
        data = {
            "prediction": "REAL", "confidence": 0.9, "processing_time": 0.001, "note": None, "media_type": "image",
            "dimensions": {"width": 64, "height": 64},
        }  # fmt: skip
        body = {"success": True, "model_used": model, "timestamp": datetime.now(UTC).isoformat(), "data": data}
        return web.json_response(body)


if __name__ == "__main__":
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    print(json.dumps({"port": port}), flush=True)
    web.run_app(Stub(file.read_bytes()).app(), host="127.0.0.1", port=port, access_log=None, print=None)
