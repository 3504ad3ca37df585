"""The child process of an evaluation: one detector, one file at a time, with what each cost. `study.py` starts it.

It is not the service's worker because it measures: processor seconds, and the highest memory since the file was begun.
Started as `python -m drishtiksha_models.evaluation.examiner MODEL SECONDS`; frames as in `frames.py` on its pipes.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import answer, frames
from ..decode.identify import identify
from ..detector import BadMedia, Deadline, DeadlinePassed, Detector, Examination, MediaFile, Unsupported
from ..registry import discover, load
from .pictures import small

_CLEAR = Path("/proc/self/clear_refs")


def main(name: str, seconds: float) -> None:
    """Load, say so, then answer each request until standard input ends."""
    wire = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not break the wire

    def send(message: dict[str, Any]) -> None:
        wire.write(frames.pack(message))
        wire.flush()

    entry = next((load(e) for e in discover([name])), None)
    detector = entry.detector if entry is not None and entry.loaded else None
    send({"loaded": detector is not None, "reason": entry.reason if entry else "there is no detector of this name"})
    while detector is not None and (request := frames.read(sys.stdin.buffer)) is not None:
        send(_measured(detector, request, seconds))


def _measured(detector: Detector, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    with suppress(OSError):
        _CLEAR.write_text(
            "5"
        )  # the kernel forgets the peak so far (proc(5)); elsewhere the peak is that of the process
    began = time.process_time()
    told = _examined(detector, Path(request["path"]), Path(request["pictures"]), seconds)
    return told | {"cpu_s": round(time.process_time() - began, 4), "peak_mb": round(_peak_mb(), 1)}


def _examined(detector: Detector, path: Path, pictures: Path, seconds: float) -> dict[str, Any]:
    """What came of one file; whatever goes wrong is a cause, and never ends the process."""
    try:
        media = identify(path, path.name)
        if media.media_type not in detector.media_types:
            return {"outcome": "NOT_APPLICABLE"}
        said = detector.examine(media, lambda _progress: None, Deadline(seconds))
        return _said(said) | {"pictures": _keep(media, said, pictures)}
    except BadMedia as error:
        return _failed("BAD_MEDIA", str(error))
    except Unsupported as error:
        return _failed("UNSUPPORTED", str(error))
    except DeadlinePassed as error:
        return _failed("DEADLINE", str(error))
    except FileNotFoundError:
        return _failed("MISSING", "There is no such file.")
    except OSError as error:
        return _failed("UNREADABLE", f"The file cannot be read: {error.strerror or type(error).__name__}.")
    except MemoryError:
        return _failed("MEMORY", "The detector ran out of memory.")
    except Exception as error:
        return _failed("INTERNAL", f"{type(error).__name__}: {error}")


def _failed(cause: str, message: str) -> dict[str, Any]:
    return {"outcome": "FAILED", "cause": cause, "message": message[:300]}


def _said(said: Examination) -> dict[str, Any]:
    prediction, _ = answer.prediction(said)
    score = None if said.score is None else {"value": float(said.score.value), "name": said.score.name, "kind": said.score.kind}  # fmt: skip
    return {"outcome": str(said.status), "prediction": prediction, "finding": str(said.finding), "score": score,
            "probability": said.probability_fake, "reason": said.inconclusive_reason, "note": said.note}  # fmt: skip


def _keep(media: MediaFile, said: Examination, folder: Path) -> list[str]:
    """The first two pictures of the evidence, made small, and the file itself where it is a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for name, data in [("media", media.path)] * (media.mimetype.startswith("image/")) + [
        (p.name, p.data) for p in said.images[:2]
    ]:
        if (shrunk := small(data)) is not None:
            kept = f"{Path(name).stem}.jpg"
            (folder / kept).write_bytes(shrunk)
            names.append(kept)
    return names


def _peak_mb() -> float:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
