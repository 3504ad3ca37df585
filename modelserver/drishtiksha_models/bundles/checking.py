"""All that is checked before a bundle is served, one after the other, each with what is wrong: for `bundle check`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .detector import BundleDetector
from .folder import Bundle, checked, open_bundle
from .manifest import MANIFEST, BadBundle


@dataclass(frozen=True, slots=True)
class Check:
    """One question; `wrong` is None when all is well."""

    what: str
    wrong: str | None = None


@dataclass(slots=True)
class Found:
    """The answers, up to the first that makes the next ones meaningless."""

    checks: list[Check] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the service would serve it."""
        return all(check.wrong is None for check in self.checks)

    def ask(self, what: str, work: Callable[[], object]) -> bool:
        """Do some work that raises BadBundle when something is wrong; whether nothing was."""
        try:
            work()
        except BadBundle as error:
            self.checks.append(Check(what, str(error)))
            return False
        self.checks.append(Check(what))
        return True


def check(folder: Path) -> Found:
    """Ask all that the service asks, in its order."""
    found, opened = Found(), list[Bundle]()
    if not found.ask(f"{MANIFEST} says what it should, and nothing else", lambda: opened.append(open_bundle(folder))):
        return found
    (bundle,) = opened
    manifest, detector = bundle.manifest, BundleDetector(bundle)
    for name, file in manifest.files.items():
        found.ask(f"{name} has its {file.bytes:,} bytes and its hash", partial(checked, folder / name, file, len))
    if found.good and found.ask("the network has one input and no code, and runs here", detector.prepare):
        tolerance = manifest.golden.tolerance
        found.ask(
            f"{manifest.golden.file} gives its answer within {tolerance:g}, zeros a finite one", detector.try_golden
        )
    return found
