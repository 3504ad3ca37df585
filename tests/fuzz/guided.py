"""`python tests/fuzz/guided.py FOLDER CORPUS INPUTS SECONDS SEED`: inputs by atheris (libFuzzer), guided by coverage.

The bytecode of this service and of Pillow is instrumented. FFmpeg, libjpeg, libwebp, c2pa and their kind are not: for them
each new outcome (kind of file, codec, number of frames, error) counts as a place that was reached.
"""

from __future__ import annotations

import faulthandler
import random
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["drishtiksha_models", "PIL"]):
    import booking
    import PIL.AvifImagePlugin
    import PIL.GifImagePlugin
    import PIL.JpegImagePlugin
    import PIL.MpoImagePlugin
    import PIL.PngImagePlugin
    import PIL.TiffImagePlugin
    import PIL.WebPImagePlugin  # noqa: F401
    import target

    from drishtiksha_models.provenance import claims, manifest  # noqa: F401  instrumented here

import mutation

PLACES = 4096
"""Artificial places, one for each outcome by its hash."""


def main() -> None:
    """Fuzz until so many inputs or seconds; libFuzzer ends the process."""
    folder, corpus = Path(sys.argv[1]), Path(sys.argv[2])
    inputs, seconds, seed = (int(word) for word in sys.argv[3:6])
    faulthandler.enable()
    warnings.simplefilter("ignore")
    target.PROVENANCE.load()
    book = booking.Book(folder)
    others = [path.read_bytes() for path in sorted(corpus.iterdir())]
    places = [_place() for _ in range(PLACES)]

    last = book.inputs + inputs

    def one(data: bytes) -> None:
        for sign in book.look(data).signs:
            places[zlib.crc32(sign.encode()) % PLACES]()
        if book.inputs == last:
            book.write()

    def changed(data: bytes, most: int, number: int) -> bytes:
        dealer = random.Random(number)
        if dealer.random() < 0.5:
            return mutation.mended(atheris.Mutate(data, most))
        return mutation.mutated(dealer, data, others)[:most]

    options = [f"-runs={inputs}", f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={mutation.MOST}"]
    # Time and memory are watched from outside and in the target; a signal shall end the process as it would end a worker.
    options += ["-timeout=0", "-rss_limit_mb=0", "-use_value_profile=0", f"-artifact_prefix={folder}/"]
    options += [f"-handle_{name}=0" for name in ("segv", "bus", "abrt", "ill", "fpe", "xfsz")]
    atheris.Setup(["guided", *options, str(corpus)], one, custom_mutator=changed)
    atheris.Fuzz()


def _place() -> Callable[[], None]:
    """A function of its own code, which libFuzzer sees as one more place."""
    scope: dict[str, Callable[[], None]] = {}
    exec("def place():\n    return None", scope)  # the instrumentation tells code objects apart
    made: Callable[[], None] = atheris.instrument_func(scope["place"])
    return made


if __name__ == "__main__":
    main()
