"""Which detectors exist here: one module in `detectors/`, one entry point of another package, or one bundle is one detector.

What cannot be imported, opened or loaded is listed with its reason and harms no other.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from . import detectors
from .detector import NAME, Detector, Unloadable

ALL_BUNDLES = "bundle:*"
"""Among the names of active detectors: every bundle, whatever its name."""
PLUG_INS = "drishtiksha.detectors"
"""Group of entry points: each names an object like the `DETECTOR` of a module here. They run as this service's own code."""


@dataclass
class Entry:
    """One detector as it stands here. `reason` says why it is not loaded; `load_ms` how long loading took."""

    name: str
    detector: Detector | None = None
    loaded: bool = False
    reason: str | None = None
    load_ms: float | None = field(default=None)
    is_bundle: bool = False


def discover(
    active: Collection[str] = (), bundles: Sequence[Path] = (), networks: Mapping[Path, Path] | None = None
) -> list[Entry]:
    """Every detector of this package, of plug-ins and of these bundles, or those named in `active`, by name, not loaded yet.

    `networks`: where the network of a bundle is asked, by its folder; one that is not there runs in this process.

    A name belongs to the first that bears it: nobody else's detector can pass for one of ours. A name in `active` that
    nobody bears is listed too, so that a misspelling is seen in `/stats`.
    """
    found: dict[str, Entry] = {}
    for entry in (*_modules(), *_plug_ins(), *_bundles(bundles, networks or {})):
        if entry.name not in found:
            found[entry.name] = entry
        elif entry.detector is not None:
            taken, why = f"{entry.name[:56]}.again", f"another detector is named {entry.name}; choose another name"
            found[taken] = Entry(taken, reason=why, is_bundle=entry.is_bundle)
    if not active:
        return [found[name] for name in sorted(found)]
    wanted = [name for name in active if name != ALL_BUNDLES]
    if ALL_BUNDLES in active:
        wanted += sorted(name for name, entry in found.items() if entry.is_bundle)
    return [found.get(name, Entry(name, reason="there is no detector of this name")) for name in dict.fromkeys(wanted)]


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
            yield _entry(importlib.import_module(f"{detectors.__name__}.{module.name}").DETECTOR)
        except Exception as error:
            yield Entry(name, reason=f"its module cannot be imported: {type(error).__name__}: {error}")


def _plug_ins() -> Iterator[Entry]:
    for point in sorted(entry_points(group=PLUG_INS), key=lambda each: each.name):
        try:
            yield _entry(point.load())
        except Exception as error:
            whose = f" of {point.dist.name}" if point.dist else ""
            why = f"the plug-in{whose} cannot be imported: {type(error).__name__}: {error}"
            yield Entry(as_name(point.name), reason=why)


def _bundles(paths: Sequence[Path], networks: Mapping[Path, Path]) -> Iterator[Entry]:
    for path in paths:
        from .bundles.detector import BundleDetector
        from .bundles.folder import open_bundle

        try:
            entry = _entry(BundleDetector(open_bundle(path), networks.get(path)))
        except Unloadable as error:
            entry = Entry(as_name(path.name), reason=str(error))
        entry.is_bundle = True
        yield entry


def _entry(detector: Any) -> Entry:
    if not NAME.fullmatch(detector.name) or not detector.media_types or not detector.limits:
        raise ValueError("it needs a valid name, media types and stated limits")
    return Entry(detector.name, detector)


def as_name(text: str) -> str:
    """Something that may stand where a model's name stands."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip("._-")[:63] or "unnamed"
