"""The runner with the reference model service, both as real processes: what the one says the other understands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from model_process import model_process
from small_media import film, picture, recording

from drishtiksha_jobrunner.run import run


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a model service with four detectors."""
    models = "PROVENANCE-V1,JPEG-GRID-V1,IMAGE-SPECTRUM-V1,AUDIO-EVIDENCE-V1"
    with model_process(tmp_path_factory.mktemp("models"), ACTIVE_MODELS=models) as running:
        yield running.url


@pytest.mark.parametrize(
    ("model", "artifacts"),
    [("PROVENANCE-V1", {"ml-response.json.gz"}), ("JPEG-GRID-V1", {"ml-response.json.gz", "votes.png"})],
)
def test_an_answer_of_the_reference_service_is_a_result(model, artifacts, reference, process, door):
    bytes_of = door.media = picture()
    door.assignment["analysis"]["model"] = model
    door.assignment["media"] |= {
        "type": "IMAGE", "mimetype": "image/png",
        "size": len(bytes_of), "sha256": hashlib.sha256(bytes_of).hexdigest(),
    }  # fmt: skip
    popen = process(SERVER_URL=reference)
    assert popen.wait(60) == 0
    (result,) = door.results
    assert (result.model, result.prediction, result.finding) == (model, "INCONCLUSIVE", "NONE")
    assert result.inconclusive_reason
    assert result.limits
    assert result.system_info is not None
    assert result.system_info.server_version == "3.0.0"
    assert set(door.artifacts) == set(result.artifacts) == artifacts
    assert {p.event for p in door.progress} <= {"FRAME_ANALYSIS_PROGRESS"}


def test_a_file_that_the_reference_service_cannot_decode_is_bad_media(reference, process, door):
    bytes_of = door.media = picture()[:300]
    door.assignment["analysis"]["model"] = "JPEG-GRID-V1"
    door.assignment["media"] |= {
        "type": "IMAGE", "mimetype": "image/png",
        "size": len(bytes_of), "sha256": hashlib.sha256(bytes_of).hexdigest(),
    }  # fmt: skip
    assert process(SERVER_URL=reference).wait(60) == 65
    assert door.failures[0].error_class == "BAD_MEDIA"


def test_a_wrong_key_is_a_broken_contract_and_not_repeated(reference, process, door):
    door.assignment["analysis"]["model"] = "PROVENANCE-V1"
    assert process(SERVER_URL=reference, SERVER_API_KEY="wrong").wait(60) == 76
    assert "401" in door.failures[0].message


@pytest.mark.parametrize(
    ("kind", "content", "mimetype", "model", "pictures"),
    [
        ("VIDEO", film, "video/mp4", "IMAGE-SPECTRUM-V1", {"spectrum.png", "noise.png", "resave.png"}),
        ("AUDIO", recording, "audio/wav", "AUDIO-EVIDENCE-V1", {"spectrogram.png"}),
    ],
)
async def test_the_reference_service_asked_in_either_dialect_gives_one_result(
    kind, content, mimetype, model, pictures, reference, environment, door, hasty
):
    bytes_of = door.media = content()
    door.assignment["analysis"]["model"] = model
    door.assignment["media"] |= {
        "type": kind, "mimetype": mimetype, "size": len(bytes_of), "sha256": hashlib.sha256(bytes_of).hexdigest(),
    }  # fmt: skip
    handed_in = []
    for dialect in ("3", "2"):
        assert await run(replace(environment, server_url=reference, dialect=dialect), hasty) == 0
        (result,) = door.results
        drawn = {name: put for name, put in door.artifacts.items() if name in pictures}
        assert set(door.artifacts) == pictures | {"ml-response.json.gz"}
        same = {"processing_time": 0.0, "artifacts": sorted(result.artifacts)}
        handed_in.append((result.model_copy(update=same), drawn))
        door.results.clear()
        door.artifacts.clear()
    newer, older = handed_in
    assert older == newer
    assert (older[0].prediction, older[0].finding) == ("INCONCLUSIVE", "NONE")
    assert older[0].series or older[0].metrics or older[0].audio
