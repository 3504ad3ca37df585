"""PROVENANCE-V1: what the file itself declares about its origin, and whether that declaration is signed and intact.

C2PA manifests are read and verified by c2pa-python (C2PA specification 2.x); source types are those of the IPTC
NewsCodes. `manifest.py` judges what was read; `claims.py` collects unsigned text. No network is used.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from drishtiksha.domain.media import MediaType

from ..decode.image import opened
from ..detector import (
    Calibration,
    Coverage,
    Deadline,
    Examination,
    Fact,
    Finding,
    MediaFile,
    Progress,
    Report,
    Status,
    Unloadable,
)
from ..provenance import claims
from ..provenance.manifest import Judgement, judge

_SOURCE = "C2PA specification 2.x (signature and hashes), IPTC NewsCodes digitalsourcetype"


class Provenance:
    """The detector; `load` reads the trust list once."""

    name = "PROVENANCE-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.IMAGE, MediaType.VIDEO, MediaType.AUDIO})
    description = (
        "Reads and verifies the C2PA manifest in the file (who signed it, what it declares, whether the file was "
        "altered since) and collects unsigned text that claims an origin."
    )
    limits = (
        "Most media carry no manifest, and anybody can strip it: its absence says nothing.",
        "A valid signature says who signed and that the file was not altered since; it does not say that the signer is "
        "honest.",
        "Manifests that are stored on a server, revocation lists and time stamp authorities are not asked: no network.",
    )

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}
        self._has_anchors = False

    def load(self) -> None:
        """Import c2pa-python and read TRUST_ANCHORS. Raises Unloadable."""
        try:
            import c2pa
        except ImportError:
            raise Unloadable("the library c2pa-python is missing; install drishtiksha[models]") from None
        # c2pa-rs fetches remote manifests by default; a hostile file could make us call its author.
        self._settings = {
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
            "core": {"allowed_network_hosts": []},
        }
        anchors = os.environ.get("TRUST_ANCHORS")
        self._has_anchors = bool(anchors)
        if anchors:
            try:
                self._settings["trust"] = {"trust_anchors": Path(anchors).read_text("ascii")}
                c2pa.Context.from_dict(self._settings).close()
            except (OSError, ValueError, c2pa.C2paError):
                raise Unloadable(f"TRUST_ANCHORS: {anchors} is no readable PEM file with certificates") from None

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Verify the manifest, then collect unsigned claims. Raises BadMedia for a file that cannot be opened."""
        facts: dict[str, Fact] = {}
        width, height = None, None
        if media.media_type is MediaType.IMAGE:
            with opened(media.path) as image:
                width, height = image.size
                facts |= claims.of_image(image)
        else:
            facts |= claims.of_container(media.path)
        deadline.check()
        report(Progress(1, 2, "Unsigned metadata read"))
        judgement = self._judge(media)
        deadline.check()
        report(Progress(2, 2, "Manifest verified"))
        return _examination(judgement, facts, self._has_anchors, width, height)

    def _judge(self, media: MediaFile) -> Judgement:
        """The verified manifest as a judgement; unreadable ones are judged too, never guessed."""
        import c2pa

        form = None if media.mimetype == "application/octet-stream" else media.mimetype
        context = c2pa.Context.from_dict(self._settings)
        try:
            with media.path.open("rb") as file, c2pa.Reader(form, file, context=context) as reader:
                return judge(json.loads(reader.json()), embedded=bool(reader.is_embedded()))
        except (c2pa.C2paError, ValueError) as error:
            return _unread(str(error))
        finally:
            context.close()


def _unread(complaint: str) -> Judgement:
    """Why no manifest was read, from the library's words: its error classes do not tell all these cases apart."""
    if complaint.startswith("ManifestNotFound") or "no JUMBF" in complaint:
        return Judgement("none", "The file carries no C2PA manifest.")
    if complaint.startswith("Remote"):
        return Judgement("remote", "The file names a C2PA manifest on a server; it was not fetched.")
    if complaint.startswith("NotSupported") or "unsupported" in complaint:
        return Judgement("unsupported", "This kind of file cannot carry a C2PA manifest that we can read.")
    return Judgement("unreadable", "The file carries something like a C2PA manifest that cannot be read.")


def _examination(
    judgement: Judgement, facts: dict[str, Fact], has_anchors: bool, width: int | None, height: int | None
) -> Examination:
    claimed = claims.in_words(facts)
    facts = {"c2pa": judgement.state, **judgement.facts, "trust_list": has_anchors, **facts}
    note = judgement.words
    if claimed:
        note += f" Unsigned text in the file claims: {claimed}. Anybody could have written that."
    decided = judgement.state in ("valid", "altered", "invalid")
    return Examination(
        status=Status.COMPLETED if decided else Status.INCONCLUSIVE,
        finding=judgement.finding,
        note=note if judgement.finding is not Finding.NONE or not decided else f"{note} No evidence found.",
        calibration=Calibration(source=_SOURCE),
        inconclusive_reason=None if decided else judgement.words,
        coverage=Coverage(frames=1) if width is not None else None,
        facts=facts,
        width=width,
        height=height,
    )


DETECTOR = Provenance()
