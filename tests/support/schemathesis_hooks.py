"""Loaded by the schemathesis command (tests/api/test_schemathesis.py): sends real pictures, and asks for a media that is there.

What schemathesis makes up is no picture and no id of ours; with these two some of its requests get past the door.
"""

import io
import os
import random

import schemathesis
from PIL import Image

_CHANCE = 0.5


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (random.randrange(256), 9, 9)).save(out, "PNG")
    return out.getvalue()


@schemathesis.hook
def before_call(context, case, kwargs):
    known = os.environ["DRISHTIKSHA_TEST_MEDIA"]
    if case.path_parameters and "media_id" in case.path_parameters and random.random() < _CHANCE:
        case.path_parameters["media_id"] = known
    uploads = case.method == "POST" and case.operation.path == "/api/v1/media" and isinstance(case.body, dict)
    if uploads and random.random() < _CHANCE:
        case.body["file"] = _picture()
