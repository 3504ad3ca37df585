"""The words that all described objects share: camelCase, no unknown keys, times, links."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

T = TypeVar("T")
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Moment = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-01-31T12:00:00.000Z"])
]
"""ISO 8601, UTC, milliseconds."""
Id = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", examples=["0199c0de-0000-7000-8000-000000000001"]),
]
"""A UUID."""
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Link = Annotated[str, Field(pattern="^https?://", description="Opens without a token for an hour or two.")]
Anything = Annotated[Any, Field(description="Data, as its maker wrote it.")]


class Described(BaseModel):
    """An object in which every key is named here and always there; what has no value is null."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_alias=True, serialize_by_alias=True)


class Answer(Described, Generic[T]):
    """The envelope of every success."""

    status_code: int = Field(ge=200, le=299)
    data: T
    message: str
    success: Literal[True]


class Empty(Described):
    """No keys."""
