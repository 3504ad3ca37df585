"""One detector on one file without any service, told at a terminal; used by `main` and by the bundles' command."""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

from . import answer
from .decode.identify import identify
from .detector import BadMedia, Deadline, DeadlinePassed, Detector, Unloadable, Unsupported

USAGE, BAD_MEDIA, UNAVAILABLE, INTERNAL = 64, 65, 69, 70
"""Exit codes (sysexits.h)."""
SECONDS = 3600.0
"""For one file."""


def report_on(detector: Detector, file: Path, *, as_json: bool = False, pictures: Path | None = None) -> int:
    """Examine a file with a loaded detector, print what it says, write its pictures into a folder; the exit code."""
    if not file.is_file():
        return _fail(USAGE, f"there is no file {file}")
    began = time.monotonic()
    try:
        media = identify(file, file.name)
        if media.media_type not in detector.media_types:
            raise Unsupported(f"{detector.name} does not examine {media.media_type.lower()} files.")
        examination = detector.examine(media, lambda _progress: None, Deadline(SECONDS))
    except (BadMedia, Unsupported) as error:
        return _fail(BAD_MEDIA, str(error))
    except DeadlinePassed as error:
        return _fail(INTERNAL, str(error))
    except Unloadable as error:
        return _fail(UNAVAILABLE, str(error))
    data = answer.data(detector, media, examination, time.monotonic() - began)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        for picture in data["evidence"]["images"]:
            (pictures / picture["name"]).write_bytes(base64.b64decode(picture["data"]))
    print(json.dumps(data, indent=2, ensure_ascii=False) if as_json else _in_words(data))
    return 0


def _in_words(data: dict[str, Any]) -> str:
    """The result for a reader at a terminal."""
    evidence = data["evidence"]
    lines = [
        f"{data['model_name']}  {data['status']}  finding {data['finding']}  ({data['processing_time']:.2f} s)",
        f"prediction {data['prediction']}, confidence {data['confidence']:.6g}",
        str(data["note"]),
    ]
    lines += [f"  {name}: {value}" for name, value in evidence["facts"].items()]
    lines += [f"  region {r['label']} at {[round(x) for x in r['box']]}" for r in evidence["regions"]]
    lines += [f"  curve {s['name']}: {len(s['v'])} values" for s in evidence["series"]]
    lines += [f"  picture {p['name']}" for p in evidence["images"]]
    lines += [f"limit: {text}" for text in data["limits"]]
    return "\n".join(lines)


def _fail(code: int, sentence: str) -> int:
    print(f"drishtiksha-models: {sentence}", file=sys.stderr)
    return code
