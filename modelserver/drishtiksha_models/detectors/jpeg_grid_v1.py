"""JPEG-GRID-V1: parts of a picture whose JPEG grid is not that of the rest, with a bound on false alarms.

The method is ZERO (Nikoukhah, Colom, Morel, Grompone von Gioi, Image Processing On Line 11, 2021), written from its
description; `grid/` holds its steps as functions over arrays.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drishtiksha.domain.media import MediaType

from ..decode.image import opened, pixels
from ..detector import (
    Calibration,
    Coverage,
    Deadline,
    Examination,
    Fact,
    Finding,
    MediaFile,
    Picture,
    Progress,
    Region,
    Report,
    Score,
    Status,
    Unloadable,
    Unsupported,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..grid.lastsave import LastSave
    from ..grid.regions import Grid, Place

MAX_EXAMINED = 16_000_000
"""Pixels examined at most; of a larger picture the middle part. About one second per million pixels."""
MIN_SIDE = 64
"""Pixels; a smaller picture has too few blocks to say anything."""
MIN_QUALITY = 97
"""Of the last JPEG save: below it the traces of earlier grids are gone (nothing of 10 splices was found at 90)."""
_ORIENTATION = 0x0112
"""The EXIF tag that says how a viewer turns the picture; 1 is upright."""
_SMALLEST = -30.0
"""log10 of the smallest bound that is stated: still true of a smaller NFA, and no number underflows on its way."""
_SOURCE = "a-contrario NFA over 64 grids in every rectangle (Nikoukhah et al., IPOL 2021); tail bound Hoeffding 1963"


class JpegGrid:
    """The detector; `load` brings numpy and OpenCV."""

    name = "JPEG-GRID-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.IMAGE})
    description = (
        "Finds parts whose JPEG compression grid differs from the rest of the picture, as after pasting, with a bound "
        "on the number of false alarms (ZERO, IPOL 2021)."
    )
    limits = (
        "Only pictures that were JPEG once and were then saved without loss, or as JPEG of quality 97 or more, keep the "
        "traces; any other later save erases them.",
        "A pasted part whose grid happens to agree with the picture's (one in 64) is not seen, nor one that was never "
        "JPEG.",
        "A collage or a screenshot of several pictures shows foreign grids too: a foreign grid is an edit, not a lie.",
    )

    def load(self) -> None:
        """Import numpy and OpenCV, on one thread. Raises Unloadable."""
        for library in ("numpy", "cv2", "PIL"):
            if importlib.util.find_spec(library) is None:
                raise Unloadable(f"the library {library} is missing; install drishtiksha[models]")
        import cv2

        cv2.setNumThreads(1)

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Look, vote, find places, decide. Raises BadMedia, DeadlinePassed."""
        from ..grid.lastsave import last_save
        from ..grid.regions import lies_in_parts, main_grid, places, runs_everywhere
        from ..grid.votes import votes

        if media.media_type is not MediaType.IMAGE:
            raise Unsupported("JPEG-GRID-V1 examines pictures only.")
        with media.path.open("rb") as file:
            head = file.read(64)
        with opened(media.path) as image:
            saved = last_save(image, head)
            width, height = image.size
            box = _middle(width, height)
            turned = image.getexif().get(_ORIENTATION, 1) != 1
            part = pixels(image, box)
        deadline.check()

        def step(done: int, total: int) -> None:
            deadline.check()
            report(Progress(done, total, "Rows of the picture examined"))

        cast = votes(part, step)
        main = main_grid(cast)
        ignored = {main.number} if main.significant else set()
        if saved.kind == "jpeg":
            ignored.add(0)  # the grid of the last save itself is no trace of an edit
        found = places(cast, main, frozenset(ignored)) if min(part.shape[:2]) >= MIN_SIDE else []
        parts = lies_in_parts(cast, main) if main.significant else []
        doubled = {p.grid for p in found if runs_everywhere(cast, p.grid, found)}
        deadline.check()
        return _Case(saved, main, parts, found, doubled, cast, width, height, box[:2], turned).examination()


@dataclass
class _Case:
    """All that was seen of one picture, and what follows from it.

    `parts`: places that the main grid is confined to, if it is; `foreign`: places of other grids; `doubled`: grids that
    run through the whole picture beside the main one; `corner`: left and top of the examined part in the picture;
    `turned`: viewers show it turned or mirrored.
    """

    saved: LastSave
    main: Grid
    parts: list[Place]
    foreign: list[Place]
    doubled: set[int]
    cast: NDArray[np.uint8]
    width: int
    height: int
    corner: tuple[int, int]
    turned: bool

    def __post_init__(self) -> None:
        self.has_grid = self.main.significant and not self.parts
        self.found = sorted(self.parts + self.foreign, key=lambda p: p.log10_nfa)

    def examination(self) -> Examination:
        """The first of these that holds: too small, traces erased, no grid, nothing found, two grids, an edit."""
        if min(self.cast.shape) < MIN_SIDE:
            return self._inconclusive(f"the picture is smaller than {MIN_SIDE} pixels")
        if self.saved.kind == "jpeg" and (self.saved.quality or 0) < MIN_QUALITY:
            return self._inconclusive(
                f"recompressed: the last save as JPEG of quality {self.saved.quality or 'unknown'} erased earlier traces"
            )
        if self.saved.kind == "lossy":
            return self._inconclusive("recompressed: the last save, lossy and no JPEG, erased earlier traces")
        if not self.has_grid:
            places = f"; but {_count(len(self.found))} one" if self.found else ""
            return self._inconclusive(
                f"the picture as a whole shows no JPEG grid, so there is nothing to compare with{places}",
                Finding.SUSPICIOUS if self.found else Finding.NONE,
            )
        if not self.found:
            return self._completed(
                Finding.NONE, "No part with a JPEG grid of its own was found. No evidence found.", Calibration()
            )
        single = [p for p in self.found if p.grid not in self.doubled]
        if not single:
            note = (
                "Two JPEG grids run through the whole picture, as after cropping and saving again: an edit, but no "
                "sign of a pasted part."
            )
            return self._completed(Finding.SUSPICIOUS, note, Calibration())
        self.found = single
        bound = 10.0 ** min(0.0, max(_SMALLEST, single[0].log10_nfa))
        note = (
            f"{_count(len(single)).capitalize()} a JPEG grid that differs from the picture's; by chance this is expected in "
            f"fewer than {bound:.1g} pictures."
        )
        return self._completed(Finding.MANIPULATED_REGION, note, Calibration(kind="nfa", bound=bound, source=_SOURCE))

    def _completed(self, finding: Finding, note: str, calibration: Calibration) -> Examination:
        return self._say(Status.COMPLETED, finding, note, calibration, None)

    def _inconclusive(self, reason: str, finding: Finding = Finding.NONE) -> Examination:
        note = f"{reason[0].upper()}{reason[1:]}."
        return self._say(Status.INCONCLUSIVE, finding, note, Calibration(), reason)

    def _say(
        self, status: Status, finding: Finding, note: str, calibration: Calibration, reason: str | None
    ) -> Examination:
        from ..grid.picture import vote_map

        strongest = min((p.log10_nfa for p in self.found), default=None)
        shown = self.main.number if self.has_grid else None
        whole = self.cast.shape == (self.height, self.width)
        share = self.cast.size / (self.width * self.height)
        facts: dict[str, Fact] = {
            "last_save": self.saved.kind,
            "jpeg_quality": self.saved.quality,
            "main_grid": "{}, {}".format(*self.main.offset) if self.has_grid else None,
            "main_grid_share": round(self.main.share, 4),
            "main_grid_log10_nfa": round(self.main.log10_nfa, 2),
            "foreign_regions": len(self.found),
            "examined_share": round(share, 4),
        }
        limits = [] if whole else [f"Only the middle {share:.0%} of this large picture was examined."]
        if self.turned:
            limits.append("Boxes are those of the picture as stored; viewers show it turned by its orientation tag.")
        return Examination(
            status=status,
            finding=finding,
            note=note,
            score=None
            if strongest is None
            else Score(round(strongest, 2), "log10_nfa", "log10-number-of-false-alarms"),
            calibration=calibration,
            inconclusive_reason=reason,
            coverage=Coverage(frames=1),
            regions=[self._region(p) for p in self.found[:100]],
            images=[Picture("heatmap", "votes.png", "image/png", vote_map(self.cast, shown, self.found))],
            facts=facts,
            metrics={"main_grid_share": self.main.share},
            limits=limits,
            width=self.width,
            height=self.height,
        )

    def _region(self, place: Place) -> Region:
        box = (place.x + self.corner[0], place.y + self.corner[1], place.width, place.height)
        offset = "{}, {}".format(*place.offset)
        return Region(box, f"JPEG grid {offset}; log10 NFA {place.log10_nfa:.1f}", score=round(-place.log10_nfa, 2))


def _middle(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is examined: all, or the middle with at most MAX_EXAMINED pixels, cut at
    multiples of eight so that grids keep their offsets.
    """
    if height * width <= MAX_EXAMINED:
        return 0, 0, width, height
    scale = (MAX_EXAMINED / (height * width)) ** 0.5
    rows, columns = int(height * scale) // 8 * 8, int(width * scale) // 8 * 8
    top, left = (height - rows) // 2 // 8 * 8, (width - columns) // 2 // 8 * 8
    return left, top, left + columns, top + rows


def _count(number: int) -> str:
    return "one part of it carries" if number == 1 else f"{number} parts of it carry"


DETECTOR = JpegGrid()
