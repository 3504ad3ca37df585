"""Reads a bundle's folder as what it is: something that a stranger wrote. Only listed, regular files, whole and unchanged.

Each file is opened once, without following links, and its bytes are hashed as they are read: what was checked is what is
used. `staging` copies by it, `detector` and `golden` read by it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .manifest import MANIFEST, MAX_MANIFEST, BadBundle, File, Manifest, parse

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder and its manifest, read and as bytes; the other files are read when they are asked for."""

    path: Path
    manifest: Manifest
    text: bytes

    def read(self, name: str) -> bytes:
        """The bytes of a listed file. Raises BadBundle when they are not those that the manifest names."""
        parts: list[bytes] = []
        checked(self.path / name, self.manifest.files[name], parts.append)
        return b"".join(parts)


def open_bundle(path: Path) -> Bundle:
    """The bundle in a folder; its other files are not read yet. Raises BadBundle."""
    if path.is_symlink() or not path.is_dir():
        raise BadBundle(f"{path.name}: is no folder; a bundle is a folder with {MANIFEST} in it.")
    with _regular(path / MANIFEST) as file:
        text = file.read(MAX_MANIFEST + 1)
    if len(text) > MAX_MANIFEST:
        raise BadBundle(f"{MANIFEST}: is longer than {MAX_MANIFEST // 1024} KiB.")
    return Bundle(path, parse(text), text)


def checked(path: Path, expected: File, take: Callable[[bytes], object]) -> None:
    """Hand the bytes of a file to `take`, block by block. Raises BadBundle at the end when size or hash are not as `expected`."""
    digest, size = hashlib.sha256(), 0
    with _regular(path) as file:
        while block := file.read(_BLOCK):
            size += len(block)
            if size > expected.bytes:
                break
            digest.update(block)
            take(block)
    if size != expected.bytes:
        more = "more" if size > expected.bytes else "only"
        raise BadBundle(
            f"{path.name}: has {more} {size} bytes, {MANIFEST} says {expected.bytes}; copy it again, or `bundle seal`."
        )
    if digest.hexdigest() != expected.sha256:
        raise BadBundle(f"{path.name}: its sha256 is not the one in {MANIFEST}; copy it again, or `bundle seal`.")


def _regular(path: Path) -> BinaryIO:
    """A file, opened; BadBundle when it is a link, no regular file, or not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadBundle(f"{path.name}: is missing.") from None
    except OSError as error:
        raise BadBundle(f"{path.name}: cannot be read ({error.strerror}); links are not followed.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadBundle(f"{path.name}: is no regular file.")
    return os.fdopen(descriptor, "rb")
