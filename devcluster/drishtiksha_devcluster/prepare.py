"""`python -m drishtiksha_devcluster.prepare`: have the control plane in the cache, and say what that takes.

`make test` calls it first: no test has to wait minutes for a build, nor fails for one.
"""

from __future__ import annotations

import sys
import time

from drishtiksha.domain.errors import DrishtikshaError

from .binary import control_plane

_EVERY = 5.0
"""Seconds between two lines of progress."""


def main() -> None:
    """Exit code 1 and a sentence when it cannot be had."""
    begun, last = time.monotonic(), float("-inf")

    def progress(sentence: str, done: float | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            share = "" if done is None else f" {done:4.0%}"
            print(f"  {last - begun:5.0f} s{share}  {sentence}", flush=True)

    try:
        folder = control_plane(progress)
    except DrishtikshaError as error:
        sys.exit(f"The local control plane cannot be had: {error}")
    if time.monotonic() - begun > 1:
        print(f"  made in {time.monotonic() - begun:.0f} s, kept in {folder}")


if __name__ == "__main__":
    main()
