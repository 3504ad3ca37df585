"""An ML service of dialect 2, as the older ones answer; strict about what it is asked. Beside it: `scripted_ml`, dialect 3.

In a test: `OlderService(...)`, an ASGI application that remembers what it was asked. By hand, with every model loaded:
`python older_ml.py PORT NAME…`; then each model answers with `video()` or `audio()`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import multipart
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

FIELDS = {
    "comprehensive": {"model", "video_id", "user_id", "include_frames", "include_visualization"},
    "audio": {"model"},
}
"""What each route wants beside the file, and takes nothing else."""


def video(fake: float = 0.75, **more: Any) -> dict[str, Any]:
    """What a model says about a video."""
    scores = (0.25, 0.75, 0.5)
    frames = [
        {"frame_index": n * 10, "score": s, "prediction": "FAKE" if s >= 0.5 else "REAL"} for n, s in enumerate(scores)
    ]
    return {
        "prediction": "FAKE" if fake >= 0.5 else "REAL",
        "confidence": max(fake, 1 - fake),
        "processing_time": 2.5,
        "metrics": {"frame_count": 3, "rolling_average": [0.25, 0.5, 0.5], "final_average_score": 0.5},
        "note": None,
        "frames_analysis": {
            "frame_predictions": frames,
            "total_frames": 30,
            "temporal_analysis": {"consistency_score": 0.625, "pattern": "stable"},
        },
        "visualization_filename": None,
        **more,
    }


def audio(fake: float = 0.25, **more: Any) -> dict[str, Any]:
    """What a model says about a recording."""
    return {
        "prediction": "FAKE" if fake >= 0.5 else "REAL",
        "confidence": max(fake, 1 - fake),
        "processing_time": 1.25,
        "note": "The voice was clear.",
        "properties": {"duration_seconds": 4.0, "sample_rate": 16000, "channels": 1},
        "pitch": {"mean_pitch_hz": 180.5, "pitch_stability_score": 0.75},
        "energy": {"rms_energy": 0.0625, "silence_ratio": 0.125},
        "spectral": {"spectral_centroid": 1500.0, "spectral_contrast": 21.5},
        "visualization": {"spectrogram_url": None, "spectrogram_data": None},
        **more,
    }


@dataclass
class Asked:
    """One request for an analysis."""

    route: str
    fields: dict[str, str]
    filename: str
    content: bytes


@dataclass
class OlderService:
    """`answers` by route; `bare`: without `{success, data}` around them. `first`: what it says before. `files`: by path."""

    models: tuple[str, ...]
    key: str = ""
    bare: bool = False
    version: object = "2.4.1"
    answers: dict[str, dict[str, Any]] = field(default_factory=lambda: {"comprehensive": video(), "audio": audio()})
    wrapping: dict[str, Any] = field(default_factory=dict)
    first: list[Response] = field(default_factory=list)
    files: dict[str, bytes | Response] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    fetched: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._app = FastAPI()
        self._app.get("/stats")(self.stats)
        for route in FIELDS:
            self._app.post(f"/analyze/{route}")(self._analyze(route))
        self._app.get("/{path:path}")(self.file)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    async def stats(self, request: Request) -> Response:
        """All models take everything, pictures too: dialect 2 only has no words for them."""
        if request.headers.get("x-api-key", "") != self.key:
            return JSONResponse({"detail": "wrong key"}, 401)
        told = {"loaded": True, "isVideo": True, "isAudio": True, "isImage": True, "device": "cuda:0"}
        infos = [{"name": name, "class_name": "Older", **told} for name in self.models]
        version = {} if self.version is None else {"version": self.version}
        return JSONResponse({"service_name": "older", **version, "uptime_seconds": 500.0, "models_info": infos})

    def _analyze(self, route: str) -> Callable[[Request], Any]:
        async def analyze(request: Request) -> Response:
            if request.headers.get("x-api-key", "") != self.key:
                return JSONResponse({"detail": "wrong key"}, 401)
            boundary = request.headers["content-type"].partition("boundary=")[2]
            parts = {part.name: part for part in multipart.MultipartParser(io.BytesIO(await request.body()), boundary)}
            file = parts.pop("video", None)
            if file is None or not file.filename or set(parts) != FIELDS[route]:
                return JSONResponse({"detail": [{"loc": ["body"], "msg": f"not the fields of {route}"}]}, 422)
            fields = {name: part.value for name, part in parts.items()}
            if fields["model"] not in self.models:
                return JSONResponse({"detail": "unknown model"}, 404)
            self.asked.append(Asked(route, fields, file.filename, file.raw))
            if self.first:
                return self.first.pop(0)
            data = self.answers[route]
            whole = {"success": True, "model_used": fields["model"], "data": data}
            return JSONResponse({**(data if self.bare else whole), **self.wrapping})

        return analyze

    async def file(self, path: str, request: Request) -> Response:
        """A file by its path; the path is noted as it came."""
        self.fetched.append((request.scope["raw_path"].decode(), dict(request.headers)))
        found = self.files.get(path, Response(status_code=404))
        return found if isinstance(found, Response) else Response(found, media_type="application/octet-stream")


if __name__ == "__main__":
    uvicorn.run(OlderService(tuple(sys.argv[2:])), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
