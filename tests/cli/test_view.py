"""What stands still fits 80 and 120 columns, keeps ids and links whole, and takes names as names."""

from __future__ import annotations

import io
from typing import Any

import pytest
from cli_samples import ID, analysis, media, verdict
from rich.console import Console, RenderableType

from drishtiksha_cli import view

LONG = "holiday [bold]video[/bold] with a very long name that goes on and on, take 12 (final) (2).mp4"
URL = f"http://127.0.0.1:3000/api/v1/media/content/{ID}/artifacts/{ID}?expires=1795363545&key=k1&signature=" + "x" * 43


def drawn(renderable: RenderableType, width: int, *, crop: bool = True, colour: bool = False) -> list[str]:
    console = Console(
        width=width, record=True, file=io.StringIO(), force_terminal=colour, highlight=False,
        color_system="standard" if colour else None,
    )  # fmt: skip
    console.print(renderable, crop=crop)
    return [line.rstrip() for line in console.export_text(styles=colour).splitlines()]


MANY = [
    media("ANALYZED", verdict=verdict("FAKE", "MEASURED", None, "A-V1")),
    media("PARTIALLY_ANALYZED", filename=LONG, verdict=verdict("INCONCLUSIVE", "CALIBRATED", 0.5, "A-V1")),
    media("PROCESSING", filename="recording.flac", mediaType="AUDIO"),
    media("FAILED", filename="picture.png", mediaType="IMAGE"),
]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_a_list_has_one_line_per_media_with_its_whole_id(width: int) -> None:
    lines = drawn(view.listing(MANY, width), width)
    assert len(lines) == 1 + len(MANY)
    assert all(line.startswith(ID) for line in lines[1:])
    assert max(map(len, lines)) <= width
    assert "FAKE (measured)" in lines[1]
    assert "holiday" in lines[2]
    assert "INCONCLUSIVE (calibrated)" in lines[2]
    assert "processing" in lines[3]
    assert ("371.3 KiB" in lines[1]) == (width >= 120)
    assert ("PARTIALLY_ANALYZED" in lines[2]) == (width >= 140)


def test_a_verdict_and_its_reasons_are_wrapped_inside_their_column() -> None:
    one = analysis("A-VERY-LONG-MODEL-NAME-V12", inconclusiveReason="no face was found in 240 frames " * 4)
    lines = drawn(view.result(media("ANALYZED", one, analysis("B-V1"), verdict=verdict())), 80)
    assert lines[0] == "clip.mp4  INCONCLUSIVE. No evidence was found, which proves nothing either way."
    assert lines[1].startswith("  A-VERY-LONG-MODEL-NAME-V12  INCONCLUSIVE: no face")
    assert lines[2].startswith(" " * 30)
    assert max(map(len, lines)) <= 80


def test_file_names_and_messages_are_never_read_as_markup() -> None:
    failed = analysis(status="FAILED", errorClass="INTERNAL", errorMessage="[red]x[/red]")
    seen = media("PARTIALLY_ANALYZED", analysis(facts={"tag": "[link=http://x]y[/link]"}), failed, filename=LONG)
    for renderable in (view.listing([seen], 200), view.result(seen), view.full(seen)):
        text = "\n".join(drawn(renderable, 200))
        assert "[bold]video[/bold]" in text
    assert "[red]x[/red]" in text
    assert "[link=http://x]y[/link]" in text


@pytest.mark.parametrize("width", [80, 120])
def test_one_media_in_full_says_everything_and_breaks_no_link(width: int) -> None:
    one = analysis(
        basis="MEASURED",
        prediction="FAKE",
        finding="MANIPULATED_REGION",
        calibration={"kind": "nfa", "bound": 3.2e-09, "source": "by construction"},
        measure={"value": -8.5, "kind": "log10-nfa", "name": "log10_nfa"},
        facts={"blocks": 12, "quality": 80.0, "grid": None, "foreign": True},
        limits=["A later JPEG save hides it."],
        artifacts=[{"name": "votes.png", "url": URL}],
    )
    failed = analysis(
        "TWO-V1",
        "FAILED",
        errorClass="CRASHED",
        attempt=3,
        errors=[{"errorType": "CRASHED", "errorMessage": "the pod was killed"}],
    )
    claimed = analysis("THREE-V1", basis="CLAIMED", score=0.25, prediction="REAL")
    seen: dict[str, Any] = media(
        "PARTIALLY_ANALYZED", one, failed, claimed, verdict=verdict("FAKE", "MEASURED", None, "ONE-V1")
    )
    lines = drawn(view.full(seen), width, crop=False)
    text = "\n".join(lines)
    assert f"  votes.png: {URL}" in lines
    assert max(len(line) for line in lines if URL not in line) <= width
    for said in (
        ID, "video/mp4, 371.3 KiB", "7c" * 32, "number 1, ma-", "PARTIALLY_ANALYZED", "MANIPULATED_REGION, basis MEASURED",
        "-8.5 (log10-nfa)", "at most 3.2e-09", "A later JPEG save", "CRASHED: the pod was killed", "FAILED (attempt 3)",
        "0.250 likely to be fake, as the model claims",
    ):  # fmt: skip
        assert said in text


def test_colours_are_for_terminals_only() -> None:
    fake = media("ANALYZED", analysis(prediction="FAKE"), verdict=verdict("FAKE", "DECLARED", None, "ONE-V1"))
    assert "\x1b[" in "".join(drawn(view.result(fake), 80, colour=True))
    assert "\x1b[" not in "".join(drawn(view.result(fake), 80))


def test_the_demo_links_the_pictures_of_who_found_something_and_no_raw_answer() -> None:
    def one(finding: str, *names: str) -> dict[str, Any]:
        return {"finding": finding, "artifacts": [{"name": n, "url": f"https://x/{n}"} for n in names]}

    found = [one("NONE", "noise.png"), one("MANIPULATED_REGION", "votes.png", "ml-response.json.gz"), {"finding": None}]
    assert [link.plain for link in view.pictures({"analyses": found})] == ["  votes.png: https://x/votes.png"]
    quiet = [one("NONE", "ml-response.json.gz"), one("NONE", "noise.png"), one("NONE", "other.png")]
    assert [link.plain for link in view.pictures({"analyses": quiet})] == ["  noise.png: https://x/noise.png"]
    assert view.pictures({"analyses": [one("NONE")]}) == []
