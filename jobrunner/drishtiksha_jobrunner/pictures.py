"""Takes the pictures out of a model's answer: base64 in `evidence.images`, checked and named for the door. Pure.

A picture that is not as it should be is left out with a note; it never fails the analysis.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from .body import MAX_PICTURE, MAX_PICTURES
from .door import Artifact

RAW_NAME = "ml-response.json.gz"
"""The name of the whole answer; no picture may have it."""

_STARTS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}
_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


def take(listed: object) -> tuple[list[Artifact], list[str]]:
    """The pictures and the notes about those left out. The base64 text is removed from `listed` (it may be large)."""
    pictures: list[Artifact] = []
    notes: list[str] = []
    names = {RAW_NAME}
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        if not isinstance(entry, dict):
            continue
        data = entry.pop("data", None)
        if data is None:
            continue
        label = str(entry.get("name") or f"picture {index + 1}")[:100]
        if len(pictures) == MAX_PICTURES:
            notes.append(f"Picture '{label}' was left out: a model may send {MAX_PICTURES}.")
            continue
        content, fault = _decoded(data, entry)
        if content is None:
            notes.append(f"Picture '{label}' was left out: {fault}.")
            continue
        mimetype = str(entry["mimetype"])
        name = _name(label, _ENDINGS[mimetype], names)
        pictures.append(Artifact(name, _kind(entry.get("kind")), mimetype, content))
    return pictures, notes


def _decoded(data: object, entry: dict[str, object]) -> tuple[bytes | None, str]:
    mimetype = entry.get("mimetype")
    if not isinstance(mimetype, str) or mimetype not in _STARTS:
        return None, "its type is not PNG, JPEG or WebP"
    if not isinstance(data, str) or len(data) > MAX_PICTURE * 4 // 3 + 4:
        return None, f"it is larger than {MAX_PICTURE} bytes" if isinstance(data, str) else "it is no base64 text"
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None, "it is no base64 text"
    if len(content) > MAX_PICTURE:
        return None, f"it is larger than {MAX_PICTURE} bytes"
    if not content.startswith(_STARTS[mimetype]):
        return None, "its bytes are not of its type"
    told = entry.get("sha256")
    if told is not None and hashlib.sha256(content).hexdigest() != str(told).lower():
        return None, "its sha256 differs from the one stated"
    return content, ""


def _name(label: str, ending: str, names: set[str]) -> str:
    """A name that the door takes, unlike those before it."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", label).lstrip("._-")[:80]
    stem = re.sub(r"\.(png|jpe?g|webp)$", "", stem, flags=re.IGNORECASE) or "picture"
    name, count = stem + ending, 2
    while name in names:
        name, count = f"{stem}-{count}{ending}", count + 1
    names.add(name)
    return name


def _kind(kind: object) -> str:
    made = re.sub(r"[^a-z0-9-]+", "-", kind.lower()).strip("-")[:40].rstrip("-") if isinstance(kind, str) else ""
    return made if re.match(r"[a-z]", made) else "picture"
