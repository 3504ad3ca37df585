"""How a model is asked in each dialect, and what its answer wears: both come out in one shape. Pure.

`model` sends the question; `answer` reads the data, in which the older dialect's words have become the newer one's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from drishtiksha.domain.dialect import MEDIA_OF, OLD
from drishtiksha.domain.media import FILE_TYPES

from .body import contract
from .door import Assignment
from .evidence import mapping, text


@dataclass(frozen=True)
class Question:
    """One multipart request: where it goes, which field has the file, what else it says."""

    path: str
    file_field: str
    fields: dict[str, str]


@dataclass(frozen=True)
class Opened:
    """An answer without its wrapping. `said` is the data as it came, `data` the same in the words of dialect 3."""

    said: dict[str, object]
    data: dict[str, object]


def question(dialect: int, told: Assignment) -> Question:
    """What to ask. Raises Fault ML_CONTRACT for a media that cannot be shown in this dialect."""
    if told.media_type not in MEDIA_OF[dialect]:
        raise contract(f"The ML service speaks dialect {dialect}, in which it cannot be shown an {told.media_type}.")
    if dialect != OLD:
        return Question("/analyze", "media", {"model": told.model, "mediaId": told.media_id, "userId": told.user_id})
    if told.media_type == "AUDIO":
        return Question("/analyze/audio", "video", {"model": told.model})
    whose = {"video_id": told.media_id, "user_id": told.user_id}
    more = {"include_frames": "true", "include_visualization": "true"}
    return Question("/analyze/comprehensive", "video", {"model": told.model, **whose, **more})


def file_name(told: Assignment) -> str:
    """The media's id with the extension of its type: a service decides by it, and the user's own name stays here."""
    known = FILE_TYPES.get(told.mimetype)
    return told.media_id + (known.extension if known else ".bin")


def opened(answer: dict[str, object], model: str, dialect: int) -> Opened:
    """The data of an answer. Raises Fault ML_CONTRACT when it is no success, or clearly another model's.

    In dialect 3 an answer says that it is a success, and of which model. A service of dialect 2 may send the data bare,
    and need not name its model; what it says all the same counts.
    """
    data = answer.get("data")
    bare = dialect == OLD and "data" not in answer
    if answer.get("success") is not True and not (bare and "success" not in answer):
        raise contract("The ML service answered without success.", text(answer.get("message")))
    named = [part["model_used"] for part in (answer, mapping(data)) if "model_used" in part]
    if dialect != OLD and "model_used" not in answer:
        named.append(None)
    if other := [name for name in named if name != model]:
        raise contract(f"Another model answered than {model}.", text(json.dumps(other[0]), 300))
    if bare:
        return Opened(answer, _newer(answer))
    if not isinstance(data, dict):
        raise contract("The ML service's answer has no data.")
    return Opened(data, _newer(data) if dialect == OLD else data)


def _newer(data: dict[str, object]) -> dict[str, object]:
    """Data of dialect 2 in the words of dialect 3: the frames and what was summed up about them stood in a group."""
    group, metrics = mapping(data.get("frames_analysis")), mapping(data.get("metrics"))
    listed = group.get("frame_predictions", data.get("frame_predictions"))
    places = [(data, "frame_count"), (group, "frame_count"), (group, "total_frames"), (metrics, "frame_count")]
    counts = [of[name] for of, name in places if of.get(name) is not None]
    # What a service summed up about its frames is its own; our summary is made from the frames, for all alike.
    sums = {key: value for key, value in group.items() if key not in ("frame_predictions", "temporal_analysis")}
    own = {"frames_analysis": sums, "temporal_analysis": group.get("temporal_analysis")}
    return {
        **data,
        "frame_count": counts[0] if counts else None,
        "frames_analyzed": data.get("frames_analyzed", group.get("frames_analyzed")),
        "frame_predictions": [_frame(entry) for entry in listed] if isinstance(listed, list) else listed,
        "metrics": {**metrics, **{key: value for key, value in own.items() if value}},
    }


def _frame(entry: object) -> object:
    return {**entry, "index": entry["frame_index"]} if isinstance(entry, dict) and "frame_index" in entry else entry
