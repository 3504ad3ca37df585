"""Which class an error answer of an ML service is."""

from __future__ import annotations

import pytest

from drishtiksha.domain.errors import EXIT_CODES, RUNNER_CLASSES
from drishtiksha_jobrunner.faults import classify, storable

BAD, CONTRACT, AWAY, WAIT = "BAD_MEDIA", "ML_CONTRACT", "ML_UNAVAILABLE", None

TABLE = [
    (413, None, BAD),
    (413, "Payload too large", BAD),
    (415, {"code": "UNSUPPORTED"}, BAD),
    (422, {"code": "BAD_MEDIA", "message": "no frames"}, BAD),
    (400, {"code": "BAD_MEDIA"}, BAD),
    (422, {"code": "OTHER", "message": "the file is corrupt"}, CONTRACT),
    (422, {"message": "the file is corrupt"}, CONTRACT),
    (400, "Could not decode the stream", BAD),
    (400, "Unsupported CODEC", BAD),
    (422, "corrupted", BAD),
    (422, "Invalid format", BAD),
    (400, "no such Video", BAD),
    (422, "Audio too short", BAD),
    (422, "IMAGE too small", BAD),
    (400, "media missing", BAD),
    (400, "unknown model", CONTRACT),
    (422, [{"loc": ["body", "file"], "msg": "field required"}], CONTRACT),
    (400, None, CONTRACT),
    (422, 17, CONTRACT),
    (401, "wrong key for this file", CONTRACT),
    (403, None, CONTRACT),
    (404, "no such video", CONTRACT),
    (405, None, CONTRACT),
    (409, None, CONTRACT),
    (499, None, CONTRACT),
    (302, None, CONTRACT),
    (501, None, CONTRACT),
    (408, None, WAIT),
    (429, {"code": "BAD_MEDIA"}, WAIT),
    (503, "busy", WAIT),
    (500, "the file is corrupt", AWAY),
    (502, None, AWAY),
    (504, None, AWAY),
    (599, None, AWAY),
]


@pytest.mark.parametrize(("status", "detail", "expected"), TABLE)
def test_an_error_answer_has_exactly_one_meaning(status, detail, expected):
    assert classify(status, detail) == expected


def test_every_class_that_a_runner_may_report_has_its_own_exit_code():
    assert {EXIT_CODES[c] for c in RUNNER_CLASSES} == {65, 69, 70, 76, 77}


def test_texts_lose_only_what_cannot_be_stored():
    assert storable("a\x00b\ud800c\U0001f600\n") == "abc\U0001f600\n"
    assert storable("x" * 5000, 10) == "x" * 10
