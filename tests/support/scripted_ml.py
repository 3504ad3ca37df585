"""An ML service that does what a script says: the fault injector of the end-to-end tests. Speaks dialect 3.

`python scripted_ml.py PORT SCRIPT.json`; the script is read anew at each request:
{"models": {"NAME": {"image": true, "video": true, "audio": true, "loaded": true, "do": "answer", "seconds": 0, "fake": 0.9}}}
`do`: answer | bad-media | broken (500) | other-model | busy (503). `fake`: claimed probability of FAKE. `note`: a sentence of
the answer; `words`: what a refusal says.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

app = FastAPI()
SCRIPT = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("script.json")


def _models() -> dict[str, dict]:
    return json.loads(SCRIPT.read_text())["models"]


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
async def analyze(request: Request) -> JSONResponse:
    body = await request.body()
    field = re.search(rb'name="model"(?:\r\n[^\r\n]+)*\r\n\r\n([^\r\n]+)\r\n', body)
    name = field[1].decode() if field else ""
    script = _models()[name]
    await asyncio.sleep(script.get("seconds", 0))
    do = script.get("do", "answer")
    if do == "bad-media":
        words = script.get("words", "scripted: this file is broken")
        return JSONResponse({"detail": {"code": "BAD_MEDIA", "message": words}}, 422)
    if do == "broken":
        return JSONResponse({"detail": "scripted: out of order"}, 500)
    if do == "busy":
        return JSONResponse({"detail": "scripted: busy"}, 503, headers={"Retry-After": "1"})
    fake = script.get("fake", 0.9)
    data = {
        "prediction": "FAKE" if fake >= 0.5 else "REAL", "confidence": max(fake, 1 - fake), "processing_time": 0.01,
        "note": script.get("note"), "media_type": "image", "dimensions": {"width": 1, "height": 1},
    }  # fmt: skip
    used = "SOMEBODY-ELSE" if do == "other-model" else name
    return JSONResponse({"success": True, "model_used": used, "timestamp": datetime.now(UTC).isoformat(), "data": data})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
