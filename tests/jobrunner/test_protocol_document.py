"""The published schema of the runner protocol is that of the code; DRISHTIKSHA_TEST_GOLDEN=write writes it anew."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from pydantic.json_schema import models_json_schema

from drishtiksha import protocol
from drishtiksha.domain.errors import EXIT_CODES
from drishtiksha_jobrunner import answer, body, evidence

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = DOCS / "runner-protocol.schema.json"
MESSAGES = (
    protocol.Assignment,
    protocol.AttemptResult,
    protocol.AttemptFailure,
    protocol.Progress,
    protocol.Accepted,
)


def schema() -> dict:
    _, made = models_json_schema(
        [(message, "validation") for message in MESSAGES],
        by_alias=True,
        title=f"Drishtiksha runner protocol {protocol.PROTOCOL_VERSION}",
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | made


def test_the_published_schema_is_that_of_the_code():
    if os.environ.get("DRISHTIKSHA_TEST_GOLDEN") == "write":
        SCHEMA.write_text(json.dumps(schema(), indent=2) + "\n")
    assert json.loads(SCHEMA.read_text()) == schema()


def test_the_document_names_every_exit_code_with_its_class():
    text = (DOCS / "runner-protocol.md").read_text()
    listed = dict(re.findall(r"^\| (\d+) \| (?:`(\w+)` )?\|", text, flags=re.MULTILINE))
    assert listed == {str(code): error.value for error, code in EXIT_CODES.items()} | {"0": "", "77": "", "143": ""}


@pytest.mark.parametrize(
    ("runner", "door"),
    [
        (body.MAX_PLAIN, protocol.MAX_RESULT_BYTES),
        (answer.MAX_FRAMES, protocol.MAX_FRAMES),
        (answer.PREDICTIONS, protocol.Prediction.__args__),
        (answer.FINDINGS, protocol.FindingName.__args__),
        (evidence.MAX_POINTS, protocol.Series.model_fields["t"].metadata[0].max_length),
        (evidence.MAX_SERIES, protocol.AttemptResult.model_fields["series"].metadata[0].max_length),
        (evidence.MAX_REGIONS, protocol.AttemptResult.model_fields["regions"].metadata[0].max_length),
        (evidence.MAX_ENTRIES, protocol.AttemptResult.model_fields["metrics"].metadata[0].max_length),
        (answer.MAX_LIMITS, protocol.AttemptResult.model_fields["limits"].metadata[0].max_length),
    ],
)
def test_the_runner_keeps_the_limits_that_the_door_checks(runner, door):
    assert runner == door
