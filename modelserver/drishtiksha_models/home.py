"""The private folder in which uploads lie while they are examined; one whose process was killed is removed by the next service.

Its lock is the kernel's: it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "drishtiksha-models-"


class Home:
    """A folder of mode 0700 in the system's temporary one, from the start until `close`."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            held = _locked(self.path)
            if held is not None and self.path.is_dir():  # else another service's sweep was quicker than the lock
                self._held = held
                return
            if held is not None:
                os.close(held)

    def close(self) -> None:
        """Remove it and what lies in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._held)


def _sweep(where: Path) -> None:
    """Remove folders of services that are no more: those that nobody has locked. What cannot be removed is left."""
    for path in where.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            held = _locked(path)
            if held is not None:
                try:
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(held)


def _locked(folder: Path) -> int | None:
    """The folder's descriptor, locked; None when another process holds it, or when it has gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
