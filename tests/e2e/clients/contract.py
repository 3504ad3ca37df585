"""What every client may count on: the envelope to the letter, and the keys of each object. Keys may be added, never go."""

from __future__ import annotations

import re
from typing import Any

from curl import Answer


def _keys(words: str) -> frozenset[str]:
    return frozenset(words.split())


ERROR = _keys("success statusCode code message errors requestId")
USER = _keys("id email firstName lastName bio phone avatar role isActive createdAt updatedAt")
MEDIA = _keys(
    "id filename url publicId mimetype size sha256 description status mediaType hasAudio userId createdAt updatedAt "
    "latestRunId latestAnalysisRunId"
)
FULL = MEDIA | _keys("user videoMetadata imageMetadata audioMetadata verdict analyses analysisRuns")
RUN = _keys("id mediaId runNumber status reason requestedReason createdAt startedAt finishedAt analyses")
ANALYSIS = _keys(
    "id mediaId runId model modelName modelVersion prediction confidence score processingTime analysisType status "
    "errorMessage errorClass timestamp visualizedUrl createdAt updatedAt attempt basis finding measure calibration "
    "inconclusiveReason coverage limits facts metrics evidence note analysisDetails frameAnalysis framesTotal "
    "temporalAnalysis audioAnalysis imageAnalysis modelInfo systemInfo errors artifacts"
)
MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
"""ISO 8601, UTC, milliseconds."""


def refused(answer: Answer, status: int, code: str, message: str) -> None:
    """The answer is this error, in its envelope."""
    body = answer.json
    assert (answer.status, body["statusCode"], body["code"], body["message"]) == (status, status, code, message)
    assert body.keys() - {"details"} == ERROR
    assert body["success"] is False
    assert body["errors"]
    assert all({"code", "message"} <= e.keys() <= {"field", "code", "message"} for e in body["errors"])
    assert body["requestId"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"


def told(answer: Answer, status: int, message: str) -> Any:
    """The data of a success, in its envelope."""
    body = answer.json
    assert body.keys() == {"statusCode", "data", "message", "success"}
    assert (answer.status, body["statusCode"], body["success"], body["message"]) == (status, status, True, message)
    return body["data"]
