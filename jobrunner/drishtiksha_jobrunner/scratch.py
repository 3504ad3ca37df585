"""The one folder on disk that an attempt may use; whatever the ending, nothing stays in it."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drishtiksha.domain.errors import ErrorClass

from .faults import Fault

log = logging.getLogger("drishtiksha.jobrunner.scratch")


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A fresh folder under `parent`, removed at the end. Raises Fault INTERNAL when it cannot be made."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="attempt-", dir=parent))
    except OSError as error:
        raise Fault(ErrorClass.INTERNAL, f"No scratch folder could be made ({error.strerror}).") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            log.warning("the scratch folder could not be removed")
