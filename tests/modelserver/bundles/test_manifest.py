"""A manifest says what is known and nothing else; each refusal names the key and the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drishtiksha_models.bundles.manifest import BadBundle, parse, schema

from .conftest import Make, change

PUBLISHED = Path(__file__).parents[3] / "docs" / "detectors" / "bundle.schema.json"
EARNED = {"status": "empirical", "set": "s", "n_real": 200, "n_fake": 200, "ece": 0.1, "platt": {"a": -1.0, "b": 0.0}}


def test_a_manifest_that_was_made_here_is_read(make: Make) -> None:
    found = parse((make() / "manifest.json").read_bytes())
    assert (found.name, found.media_types, found.output.kind) == ("STRIPES-V1", ["IMAGE"], "logit")
    assert [step.op for step in found.input.steps] == ["resize", "scale"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": "red"}, "colour: this key is not known"),
        ({"input.sampler.frmaes": 3}, "frmaes: this key is not known"),
        ({"evidence": None}, "evidence: is missing"),
        ({"schema": "drishtiksha.io/bundle/v2"}, "schema: Input should be 'drishtiksha.io/bundle/v1'"),
        ({"name": "../up"}, "name: letters, digits"),
        ({"version": "one"}, "version: String should match"),
        ({"files/..%2fetc": {"sha256": "0" * 64, "bytes": 1}}, "is no plain file name"),
        ({"files/manifest.json": {"sha256": "0" * 64, "bytes": 1}}, "is no plain file name"),
        ({"golden.file": "other.png"}, "other.png is not listed"),
        ({"media_types": ["AUDIO"]}, "the sampler whole-image takes nothing out of AUDIO files"),
        ({"input.layout": "NTCHW"}, "the sampler whole-image gives NCHW or NHWC"),
        ({"input.steps": [{"op": "run_python"}]}, "input.steps.0: Input tag 'run_python'"),
        ({"input.steps": [{"op": "scale", "by": float("nan")}]}, "by: Input should be a finite number"),
        ({"output.kind": "logits"}, "classes: name each class"),
        ({"decision.clear_below": 0.9}, "clear_below: lies above suspect_above"),
        ({"calibration": {"emit_probability": True}}, "a probability needs status empirical"),
        ({"calibration": {**EARNED, "n_real": 199, "emit_probability": True}}, "at least 200 media of each class"),
        ({"runtime.max_batch": "8"}, "runtime.max_batch: Input should be a valid integer"),
    ],
    ids=lambda value: next(iter(value)).replace("/", "-") if isinstance(value, dict) else "",
)
def test_what_is_not_known_or_does_not_fit_is_refused_by_its_key(
    make: Make, changes: dict[str, Any], said: str
) -> None:
    folder = make()
    change(folder, changes)
    with pytest.raises(BadBundle) as refused:
        parse((folder / "manifest.json").read_bytes())
    assert said in str(refused.value)
    assert str(refused.value).startswith("manifest.json: ")


def test_a_probability_that_was_earned_may_be_said(make: Make) -> None:
    folder = make()
    change(folder, {"calibration": {**EARNED, "emit_probability": True}})
    assert parse((folder / "manifest.json").read_bytes()).calibration.emit_probability


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"\xff", b"[]", b'"x"'])
def test_what_is_no_manifest_is_said_to_be_none(text: bytes) -> None:
    with pytest.raises(BadBundle, match=r"manifest\.json"):
        parse(text)


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text()) == json.loads(schema()), (
        "drishtiksha-models bundle schema > docs/detectors/bundle.schema.json"
    )
