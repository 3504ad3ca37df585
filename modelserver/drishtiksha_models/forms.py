"""How each route of the ML contract is asked, as data: `/analyze` of dialect 3 and the two of dialect 2.

`app.py` serves them all alike; `intake.py` takes the form off the wire, `dialect_2.py` turns the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drishtiksha.domain.media import MediaType

from . import dialect_2
from .dialect_2 import Keep
from .intake import Refused, missing

MODEL, MEDIA_ID, USER_ID = "model", "mediaId", "userId"
"""Our names of the text fields, whatever a dialect calls them."""

_TRUTH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _as_it_is(answer: dict[str, Any], _wished: Mapping[str, bool], _keep: Keep) -> dict[str, Any]:
    return answer


@dataclass(frozen=True)
class Form:
    """One route. `only`: the kind of media it takes, None for all; `wishes`: truth fields with what absence means."""

    path: str
    file_field: str
    names: Mapping[str, str]
    """Text fields of the client, each with our name for it."""
    only: MediaType | None = None
    wishes: Mapping[str, bool] = field(default_factory=dict)
    turned: Callable[[dict[str, Any], Mapping[str, bool], Keep], dict[str, Any]] = _as_it_is
    """An answer of dialect 3 in the words of this route."""

    def ours(self, fields: Mapping[str, str]) -> dict[str, str]:
        """The fields by our names. Raises Refused 422 without a model."""
        if not fields.get(MODEL, "").strip():
            raise missing(MODEL)
        return {own: fields[theirs] for theirs, own in self.names.items() if theirs in fields}

    def wished(self, fields: Mapping[str, str]) -> dict[str, bool]:
        """What the client wants to have in its answer. Raises Refused 422 for a value that is neither yes nor no."""
        made = dict(self.wishes)
        for name in self.wishes.keys() & fields.keys():
            value = _TRUTH.get(fields[name].strip().lower())
            if value is None:
                raise Refused(422, [{"loc": ["body", name], "msg": "Must be true or false", "type": "bool_parsing"}])
            made[name] = value
        return made

    def described(self) -> dict[str, Any]:
        """For the OpenAPI document."""
        told: dict[str, dict[str, Any]] = {self.file_field: {"type": "string", "format": "binary"}}
        told |= {name: {"type": "string"} for name in self.names}
        told |= {name: {"type": "boolean", "default": value} for name, value in self.wishes.items()}
        schema = {"type": "object", "required": [self.file_field, MODEL], "properties": told}
        return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_OLDER = {MODEL: MODEL, "video_id": MEDIA_ID, "user_id": USER_ID}

FORMS = (
    Form("/analyze", "media", {MODEL: MODEL, MEDIA_ID: MEDIA_ID, USER_ID: USER_ID}),
    Form(
        "/analyze/comprehensive",
        "video",
        _OLDER,
        MediaType.VIDEO,
        {"include_frames": True, "include_visualization": False},
        dialect_2.video,
    ),
    Form("/analyze/audio", "video", _OLDER, MediaType.AUDIO, turned=dialect_2.audio),
)
