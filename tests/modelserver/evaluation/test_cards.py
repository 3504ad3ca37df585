"""The cards of the detectors: in step with what is there, small, and each says what its own examination said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drishtiksha_models.detector import Detector
from drishtiksha_models.evaluation import cards
from drishtiksha_models.main import main
from drishtiksha_models.registry import discover
from drishtiksha_models.specimens.recipes import RECIPES

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "detectors"
DETECTORS = [entry.detector for entry in discover() if entry.detector is not None]


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
def test_a_card_is_in_step_with_its_detector(detector: Detector) -> None:
    text = (FOLDER / f"{detector.name}.md").read_text()
    assert text.startswith(f"# {detector.name} {detector.version}\n"), "make detector-cards"
    assert detector.description in text
    for limit in detector.limits:
        assert f"- {limit}\n" in text
    assert re.search(r"Called FAKE: \d+ of \d+", text)


@pytest.mark.parametrize("name", ["PROVENANCE-V1", "GEN-WATERMARK-V1", "JPEG-GRID-V1", "FACE-TEMPORAL-V1"])
def test_the_hit_of_a_card_was_raised_and_its_miss_was_not(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text()
    hit, miss = (re.search(rf"\*\*A {kind}:\*\*.* It said: (\w+), finding (\w+)\.", text) for kind in ("hit", "miss"))
    assert hit is not None
    assert miss is not None
    assert hit[2] != "NONE"
    assert miss.groups() == ("INCONCLUSIVE", "NONE")


def test_there_is_no_card_of_a_detector_that_is_gone() -> None:
    named = {path.stem for path in FOLDER.glob("*-V*.md")}
    assert named == {detector.name for detector in DETECTORS}


def test_every_detector_has_a_recipe_whose_hit_and_miss_are_among_its_media() -> None:
    assert {detector.name for detector in DETECTORS} <= set(RECIPES)
    for recipe in RECIPES.values():
        names = [name for name, _ in recipe.media]
        assert len(names) == len(set(names))
        assert {recipe.hit.file, recipe.miss.file} <= set(names)


def test_the_pictures_of_the_cards_are_there_and_small() -> None:
    named = set()
    for path in FOLDER.glob("*-V*.md"):
        named |= {FOLDER / place for place in re.findall(r"!\[\w+\]\(([^)]+)\)", path.read_text())}
    assert all(path.is_file() for path in named)
    assert named == set((FOLDER / "pictures").iterdir())
    assert sum(path.stat().st_size for path in named) < 1_500_000


def test_a_card_is_made_by_the_command_from_media_that_it_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES["PROVENANCE-V1"]
    few = tuple(one for one in recipe.media if one[0].endswith("/1"))
    monkeypatch.setitem(
        RECIPES, "PROVENANCE-V1", type(recipe)(recipe.made, few, recipe.hit, recipe.miss, recipe.failures)
    )
    assert main(["cards", str(tmp_path), "--model", "PROVENANCE-V1"]) == 0
    assert capsys.readouterr().out.strip().endswith("PROVENANCE-V1.md")
    text = (tmp_path / "PROVENANCE-V1.md").read_text()
    assert "| signed as generated | 1 | 1 | 0 | 0 |" in text
    assert "| altered, signer unknown | 1 | 0 | 1 | 0 |" in text
    assert "Called FAKE: 1 of 3" in text
    assert "FAKE, finding DECLARED_SYNTHETIC" in text
    assert (tmp_path / "pictures" / "PROVENANCE-V1-hit.jpg").read_bytes().startswith(b"\xff\xd8")


def test_a_detector_without_a_recipe_gets_a_card_without_figures() -> None:
    text = cards.card("OTHER-V1", DETECTORS[0], None, None, {})
    assert "there is no recipe" in text
    assert DETECTORS[0].limits[0] in text
