"""Unsigned text in a file that claims an origin: EXIF, XMP, PNG text, container tags. Forgeable, so never a finding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..decode.container import open_container
from ..detector import Fact

if TYPE_CHECKING:
    from PIL import Image

MAX_TEXT = 300
"""Characters kept of one claim."""
_EXIF = {0x0131: "exif_software", 0x010F: "exif_make", 0x0110: "exif_model", 0x013B: "exif_artist", 0x0132: "exif_time"}
_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_PNG_KEYS = ("parameters", "prompt", "workflow", "generation_data", "sd-metadata", "invokeai_metadata", "Dream",
             "Software", "Comment", "Description", "Source", "Title")  # fmt: skip
_XMP_KEYS = ("XML:com.adobe.xmp", "xmp")
_GENERATION_KEYS = frozenset(
    f"png_{key.lower().replace('-', '_')}"
    for key in ("parameters", "prompt", "workflow", "generation_data", "sd-metadata", "invokeai_metadata", "Dream")
)
"""Keys under which image generators leave their prompt and settings."""
_SOURCE_TYPE = re.compile(
    rb"Iptc4xmpExt:DigitalSourceType(?:\s*=\s*[\"']|(?:\s[^>]{0,200})?>\s*(?:<[^>]{0,200}>\s*)?|\s+rdf:resource=[\"'])"
    rb"([^\"'<\s]{1,200})",
    re.IGNORECASE,
)
_CREATOR_TOOL = re.compile(rb"xmp:CreatorTool(?:\s*=\s*[\"']|>)([^\"'<]{1,200})")
_TAGS = ("encoder", "encoding_tool", "software", "comment", "title", "artist", "description", "com.apple.quicktime.make",
         "com.apple.quicktime.model", "com.apple.quicktime.software", "handler_name", "major_brand")  # fmt: skip


def of_image(image: Image.Image) -> dict[str, Fact]:
    """Claims of an opened picture by name; only header blocks are read."""
    found = _of_exif(image)
    for key in _PNG_KEYS:
        _note(found, f"png_{key.lower().replace('-', '_')}", image.info.get(key) if image.format == "PNG" else None)
    for key in _XMP_KEYS:
        found |= _of_xmp(image.info.get(key))
    return found


def _of_exif(image: Image.Image) -> dict[str, Fact]:
    found: dict[str, Fact] = {}
    try:
        exif = image.getexif()
        for tag, name in _EXIF.items():
            _note(found, name, exif.get(tag))
        _note(found, "exif_user_comment", _comment(exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)))
    except Exception:  # Pillow raises whatever a malformed block leads to; the picture itself may be sound
        found["exif"] = "unreadable"
    return found


def of_container(path: Path) -> dict[str, Fact]:
    """Claims in the tags of a video or sound file. Raises BadMedia when it cannot be opened."""
    found: dict[str, Fact] = {}
    with open_container(path) as container:
        for key, value in container.metadata.items():
            if key.lower() in _TAGS:
                _note(found, f"tag_{key.lower().rsplit('.', 1)[-1]}", value)
        for stream in list(container.streams)[:8]:
            for key, value in stream.metadata.items():
                if key.lower() in ("encoder", "handler_name"):
                    _note(found, f"{stream.type}_{key.lower()}", value)
    return found


def in_words(facts: Mapping[str, Fact]) -> str:
    """The claims that speak of a generator, in words; empty when none does."""
    said = []
    kind = str(facts.get("xmp_source_type") or "")
    if "rained" in kind and "lgorithmic" in kind:
        said.append(f"its source type is {kind}")
    said += [f"generation settings under {name!r}" for name in sorted(_GENERATION_KEYS & facts.keys())]
    comment = str(facts.get("exif_user_comment") or "")
    if "Steps:" in comment and "Sampler:" in comment:
        said.append("generation settings in the EXIF comment")
    return ", ".join(said)


def _of_xmp(block: object) -> dict[str, Fact]:
    """Two properties out of an XMP block, by pattern: no XML parser meets a stranger's entities."""
    raw = block.encode("utf-8", "replace") if isinstance(block, str) else block
    found: dict[str, Fact] = {}
    if isinstance(raw, bytes):
        if kind := _SOURCE_TYPE.search(raw):
            _note(found, "xmp_source_type", kind[1].decode("utf-8", "replace").rstrip("/").rsplit("/", 1)[-1])
        if tool := _CREATOR_TOOL.search(raw):
            _note(found, "xmp_creator_tool", tool[1].decode("utf-8", "replace"))
    return found


def _comment(value: object) -> object:
    """EXIF UserComment without its eight bytes of character code (Exif 2.3, 4.6.5)."""
    if isinstance(value, bytes):
        code, text = value[:8], value[8:]
        return text.decode("utf-16-be" if code.startswith(b"UNICODE") else "utf-8", "replace")
    return value


def _note(found: dict[str, Fact], name: str, value: object) -> None:
    text = "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else " " for c in str(value or "")).strip()
    if text:
        found[name] = text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
