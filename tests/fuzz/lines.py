"""`python tests/fuzz/lines.py FOLDER`: which lines of the decoding the files of a folder reach, by module, as JSON.

Run over the drawn seeds and over what the guided fuzzing has kept, it says what the guidance has added.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import target

from drishtiksha_models.decode import audio, container, identify, image, video
from drishtiksha_models.detectors import provenance_v1
from drishtiksha_models.provenance import claims

_LOOKED_AT = (identify, container, image, video, audio, claims, provenance_v1)
MODULES = {str(Path(m.__file__ or "").resolve()): m.__name__.rpartition(".")[2] for m in _LOOKED_AT}


def main() -> None:
    """Replay each file with a tracer; a function's lines count, a module's own are run by importing it."""
    target.PROVENANCE.load()
    warnings.simplefilter("ignore")
    reached: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename not in MODULES:
            return None
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    for path in sorted(Path(sys.argv[1]).iterdir()):
        target.look(path)
    sys.settrace(None)
    told = {}
    for file, name in MODULES.items():
        there = _of_functions(compile(Path(file).read_text(), file, "exec"))
        told[name] = {"reached": sorted({line for path, line in reached if path == file} & there), "lines": len(there)}
    print(json.dumps(told))


def _of_functions(code: CodeType) -> set[int]:
    """Lines that can be run in the functions of a module."""
    found: set[int] = set()
    for inner in (part for part in code.co_consts if isinstance(part, CodeType)):
        if inner.co_flags & 1:  # CO_OPTIMIZED: a function, no body of a class
            found |= {line for _, _, line in inner.co_lines() if line is not None and line != inner.co_firstlineno}
        found |= _of_functions(inner)
    return found


if __name__ == "__main__":
    main()
