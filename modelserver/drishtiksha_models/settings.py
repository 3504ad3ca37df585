"""The model service's own settings, in the order of CONTRACT: read once by `main.py` and handed down."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from drishtiksha.settings import Group, Seconds


def _names(text: object) -> object:
    """`["A", "B"]` or `A, B` as a list; anything else is left for pydantic to refuse."""
    if not isinstance(text, str):
        return text
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            raise ValueError('must be a JSON list like ["A", "B"] or a comma list like A,B') from None
    return [part.strip() for part in text.split(",") if part.strip()]


class ModelService(Group):
    """Where the service listens, which detectors it offers, and its bounds."""

    port: int = Field(default=8000, ge=0, le=65535, validation_alias="PORT")
    """Where it listens."""
    host: str = Field(default="127.0.0.1", validation_alias="HOST")
    """The address that it listens on; `$(POD_IP)` as a sidecar."""
    api_key: SecretStr | None = Field(default=None, validation_alias="SERVER_API_KEY")
    """The key that callers must send; it may be unset only on a loopback address."""
    active_models: Annotated[list[str], NoDecode, BeforeValidator(_names)] = Field(
        default_factory=list, validation_alias="ACTIVE_MODELS"
    )
    """Names of the detectors to offer, as a JSON list or a comma list, `bundle:*` among them for every bundle; empty: all."""
    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    """Where progress is published for callers that do not read it from the answer; unset: nowhere."""
    progress_channel: str = Field(default="media-progress-events", validation_alias="MEDIA_PROGRESS_CHANNEL_NAME")
    """The channel on that Redis."""
    trust_anchors: Path | None = Field(default=None, validation_alias="TRUST_ANCHORS")
    """PEM file with the root certificates whose C2PA signatures count as trusted."""
    weights: Path | None = Field(default=None, validation_alias="WEIGHTS")
    """Folder with weight files of the detectors, by the names that they have in their packages; looked into before the packages."""
    bundles: Path | None = Field(default=None, validation_alias="BUNDLES")
    """Folder whose sub-folders are bundles (an ONNX network with its manifest), served beside the detectors; read again when it changes."""
    max_upload_bytes: int = Field(default=150 * 1024 * 1024, ge=1, validation_alias="MAX_UPLOAD_BYTES")
    """The largest file that is examined."""
    workers: int = Field(default_factory=lambda: min(2, os.cpu_count() or 1), ge=1, le=64, validation_alias="WORKERS")
    """Analyses that run at the same time, each in a process of its own; unset: 2, on one processor 1."""
    waiting: int = Field(default=16, ge=0, le=1024, validation_alias="WAITING")
    """Requests that may wait for a worker; one more is answered 503 with Retry-After."""
    analysis_deadline: Seconds = Field(default=1500.0, validation_alias="ANALYSIS_DEADLINE")
    """Seconds for one analysis, waiting included; below the operator's running deadline (30 m)."""
    body_silence: Seconds = Field(default=30.0, validation_alias="BODY_SILENCE")
    """Seconds without a byte after which an upload is given up."""

    @field_validator("bundles", "weights")
    @classmethod
    def _folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError(f"no folder at {value}; make it, it may be empty")
        return value

    @field_validator("trust_anchors")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"no readable file at {value}; give a PEM file with root certificates")
        return value
