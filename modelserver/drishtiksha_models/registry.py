"""Which detectors exist here: one module in `detectors/` is one detector; nothing is registered anywhere else.

A module that fails to import, and a detector that fails to load, is listed with its reason and harms no other.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from . import detectors
from .detector import NAME, Detector, Unloadable


@dataclass
class Entry:
    """One detector as it stands here. `reason` says why it is not loaded; `load_ms` how long loading took."""

    name: str
    detector: Detector | None = None
    loaded: bool = False
    reason: str | None = None
    load_ms: float | None = field(default=None)


def discover(active: Collection[str] = ()) -> list[Entry]:
    """Every detector in `detectors/`, or those named in `active`, by name, not loaded yet.

    A name in `active` that no module bears is listed too, so that a misspelling is seen in `/stats`.
    """
    found = {entry.name: entry for entry in _modules()}
    if not active:
        return [found[name] for name in sorted(found)]
    return [found.get(name, Entry(name, reason="there is no detector of this name")) for name in dict.fromkeys(active)]


def load(entry: Entry, crashed: Collection[str] = ()) -> Entry:
    """Load the entry's detector and note how that went. `crashed`: names whose loading killed a worker before."""
    if entry.detector is None:
        return entry
    if entry.name in crashed:
        entry.reason = "loading it crashed the process"
        return entry
    began = time.monotonic()
    try:
        entry.detector.load()
        entry.loaded = True
    except Unloadable as error:
        entry.reason = str(error)
    except ImportError as error:
        entry.reason = f"a library is missing: {error}"
    except Exception as error:
        entry.reason = f"loading failed: {type(error).__name__}: {error}"
    entry.load_ms = (time.monotonic() - began) * 1000
    return entry


def _modules() -> Iterator[Entry]:
    for module in pkgutil.iter_modules(detectors.__path__):
        name = module.name.upper().replace("_", "-")
        try:
            detector: Detector = importlib.import_module(f"{detectors.__name__}.{module.name}").DETECTOR
            if not NAME.fullmatch(detector.name) or not detector.media_types or not detector.limits:
                raise ValueError("it needs a valid name, media types and stated limits")
        except Exception as error:
            yield Entry(name, reason=f"its module cannot be imported: {type(error).__name__}: {error}")
        else:
            yield Entry(detector.name, detector)
