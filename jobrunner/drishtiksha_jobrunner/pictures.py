"""The pictures that go with an answer: sent in it (base64), pointed to (fetched by `model`), or drawn from its numbers.

Each is checked and named for the door. A picture that is not as it should be is left out with a note; it never fails
the analysis. Pure: `links` says what is to be fetched, `Album` collects what came.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .body import MAX_PICTURE, MAX_PICTURES
from .door import Artifact
from .drawing import png
from .evidence import mapping

RAW_NAME = "ml-response.json.gz"
"""The name of the whole answer; no picture may have it."""
TOO_LARGE = f"it is larger than {MAX_PICTURE} bytes"
TOO_MANY = f"a model may send {MAX_PICTURES}"

_TYPES = {
    "image/png": (b"\x89PNG\r\n\x1a\n", ".png"),
    "image/jpeg": (b"\xff\xd8\xff", ".jpg"),
    "image/webp": (b"RIFF", ".webp"),
}
_DATA_URL = re.compile(r"^data:[a-z/+.-]+;base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Link:
    """A picture that an answer points to. `file`: a name below `/analyze/visualization/`, else an address."""

    label: str
    kind: str
    where: str
    file: bool = False
    sha256: str | None = None


@dataclass(frozen=True)
class Fetched:
    """What came of a link: its bytes, or why there are none, in half a sentence."""

    link: Link
    content: bytes | None
    fault: str = ""


def links(data: dict[str, object]) -> list[Link]:
    """What is to be fetched: `evidence.images[].url`, the spectrogram, the file of the older dialect."""
    found: list[Link] = []
    images = mapping(data.get("evidence")).get("images")
    for index, entry in enumerate(images if isinstance(images, list) else []):
        if isinstance(entry, dict) and entry.get("data") is None and (url := _words(entry.get("url"))):
            told = entry.get("sha256")
            found.append(Link(_label(entry, index), _kind(entry.get("kind")), url, sha256=str(told) if told else None))
    if url := _words(mapping(data.get("visualization")).get("spectrogram_url")):
        found.append(Link("spectrogram", "spectrogram", url))
    name = _words(data.get("visualization_filename"))
    # A service may point to one file in both ways; the evidence also says what it shows.
    if name and f"analyze/visualization/{name}" not in {link.where.lstrip("/") for link in found}:
        found.append(Link("visualization", "visualization", name, file=True))
    return found


class Album:
    """Collects pictures, and notes about those left out."""

    def __init__(self) -> None:
        self.pictures: list[Artifact] = []
        self.notes: list[str] = []
        self._names = {RAW_NAME}

    def take(self, listed: object) -> None:
        """The base64 pictures of `evidence.images`. Their text is removed from `listed` (it may be large)."""
        for index, entry in enumerate(listed if isinstance(listed, list) else []):
            data = entry.pop("data", None) if isinstance(entry, dict) else None
            if data is not None:
                label, mimetype = _label(entry, index), entry.get("mimetype")
                known = mimetype if isinstance(mimetype, str) and mimetype in _TYPES else None
                content, fault = _decoded(data) if known else (None, "its type is not PNG, JPEG or WebP")
                told = None if entry.get("sha256") is None else str(entry["sha256"])
                self.add(label, _kind(entry.get("kind")), content, fault, sha256=told, mimetype=known)

    def hang(self, fetched: Sequence[Fetched]) -> None:
        """The pictures that were fetched."""
        for each in fetched:
            self.add(each.link.label, each.link.kind, each.content, each.fault, sha256=each.link.sha256)

    def draw(self, data: dict[str, object]) -> None:
        """What was sent as numbers, and as no picture. The spectrogram's lowest frequency is its first row."""
        visual = mapping(data.get("visualization"))
        told = visual.get("spectrogram_data")
        if isinstance(told, str) and told:  # some services send the picture itself under this name
            if self._lacks("spectrogram"):
                self.add("spectrogram", "spectrogram", *_decoded(_DATA_URL.sub("", told[:100]) + told[100:]))
            if not self._lacks("spectrogram"):
                del visual["spectrogram_data"]
        elif told and self._lacks("spectrogram"):
            self._drawn("spectrogram", told, upside_down=True)
        if (scores := data.get("heatmap_scores")) and self._lacks("heatmap"):
            self._drawn("heatmap", scores, low=0.0, high=1.0)

    def add(
        self,
        label: str,
        kind: str,
        content: bytes | None,
        fault: str = "",
        *,
        sha256: str | None = None,
        mimetype: str | None = None,
    ) -> None:
        """One picture, or why there is none. `mimetype`: what it was said to be; absent: whatever its bytes are."""
        if len(self.pictures) == MAX_PICTURES:
            content, fault = None, TOO_MANY
        found = None if content is None else _type_of(content)
        if content is not None and len(content) > MAX_PICTURE:
            fault = TOO_LARGE
        elif content is not None and (found is None or mimetype not in (None, found)):
            fault = "its bytes are not of its type" if mimetype else "it is not PNG, JPEG or WebP"
        elif content is not None and sha256 is not None and hashlib.sha256(content).hexdigest() != sha256.lower():
            fault = "its sha256 differs from the one stated"
        if content is None or found is None or fault:
            self.notes.append(f"Picture '{label}' was left out: {fault}.")
            return
        self.pictures.append(Artifact(_name(label, _TYPES[found][1], self._names), kind, found, content))

    def _lacks(self, kind: str) -> bool:
        return all(picture.kind != kind for picture in self.pictures)

    def _drawn(self, kind: str, matrix: object, **how: object) -> None:
        try:
            self.add(kind, kind, png(matrix, **how))  # type: ignore[arg-type]
        except ValueError as error:
            self.add(kind, kind, None, str(error))


def _decoded(data: object) -> tuple[bytes | None, str]:
    if not isinstance(data, str) or len(data) > MAX_PICTURE * 4 // 3 + 4:
        return None, TOO_LARGE if isinstance(data, str) else "it is no base64 text"
    try:
        return base64.b64decode(data, validate=True), ""
    except (binascii.Error, ValueError):
        return None, "it is no base64 text"


def _type_of(content: bytes) -> str | None:
    found = next((name for name, (start, _) in _TYPES.items() if content.startswith(start)), None)
    return None if found == "image/webp" and content[8:12] != b"WEBP" else found


def _words(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _label(entry: dict[str, object], index: int) -> str:
    return str(entry.get("name") or f"picture {index + 1}")[:100]


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
