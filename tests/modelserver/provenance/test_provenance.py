"""PROVENANCE-V1: a declaration counts when its signature holds, an alteration only when the signer is trusted."""

from __future__ import annotations

import io
import socket
import wave
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from drishtiksha.domain.media import MediaType
from drishtiksha_models import answer
from drishtiksha_models.detector import BadMedia, Examination, Finding, MediaFile, Status, Unloadable
from drishtiksha_models.detectors.provenance_v1 import DETECTOR, Provenance

Examine = Callable[..., Examination]


def _recording() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.sin(np.arange(8000) / 6) * 9000).astype("<i2").tobytes())
    return out.getvalue()


def _clip(name: str = "clip.mp4") -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=name.rsplit(".", 1)[-1]) as container:
        container.metadata["comment"] = "made by a test"
        stream: Any = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), index * 20, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def test_generated_and_validly_signed_is_declared_synthetic_whoever_signed(
    examine: Examine, signing: ModuleType
) -> None:
    result = examine(signing.sign(signing.picture()))
    assert (result.status, result.finding) == (Status.COMPLETED, Finding.DECLARED_SYNTHETIC)
    assert result.facts["c2pa_created_as"] == "trainedAlgorithmicMedia"
    assert result.facts["c2pa_signer_trusted"] is False
    assert "not on this installation's trust list" in result.note
    assert answer.prediction(result) == ("FAKE", 1.0)


def test_a_signer_on_the_trust_list_is_named_so(examine: Examine, signing: ModuleType) -> None:
    result = examine(signing.sign(signing.picture()), trust=signing.authority().root)
    assert result.finding is Finding.DECLARED_SYNTHETIC
    assert result.facts["c2pa_signer_trusted"] is True
    assert "Test Signer of Test Press, who is on the trust list" in result.note


def test_a_trust_list_of_others_trusts_nobody_else(examine: Examine, signing: ModuleType) -> None:
    result = examine(signing.sign(signing.picture()), trust=signing.authority("Somebody Else").root)
    assert result.facts["c2pa_signer_trusted"] is False


def test_a_changed_byte_under_a_trusted_signature_is_tampering(examine: Examine, signing: ModuleType) -> None:
    data = signing.flipped(signing.sign(signing.picture(), "digitalCapture"), -200)
    result = examine(data, trust=signing.authority().root)
    assert result.finding is Finding.TAMPERED_AFTER_SIGNING
    assert "assertion.dataHash.mismatch" in str(result.facts["c2pa_failures"])


def test_a_changed_byte_under_an_unknown_signature_does_not_decide(examine: Examine, signing: ModuleType) -> None:
    result = examine(signing.flipped(signing.sign(signing.picture()), -200))
    assert result.finding is Finding.SUSPICIOUS
    assert "Anyone can sign a file" in result.note
    assert answer.prediction(result) == ("INCONCLUSIVE", 0.5)


def test_a_changed_declaration_is_not_believed(examine: Examine, signing: ModuleType) -> None:
    data = signing.sign(signing.picture())
    result = examine(signing.flipped(data, data.find(b"trainedAlgorithmicMedia")))
    assert result.finding is Finding.SUSPICIOUS


def test_a_broken_signature_proves_nothing_even_with_a_trusted_name_on_it(
    examine: Examine, signing: ModuleType
) -> None:
    data = signing.sign(signing.picture())
    certificate = data.rfind(b"Test Signer")
    result = examine(signing.flipped(data, certificate), trust=signing.authority().root)
    assert result.finding in (Finding.SUSPICIOUS, Finding.NONE)
    assert answer.prediction(result)[0] == "INCONCLUSIVE"


def test_a_signed_photograph_is_no_finding_and_never_called_authentic(examine: Examine, signing: ModuleType) -> None:
    result = examine(signing.sign(signing.picture(), "digitalCapture"), trust=signing.authority().root)
    assert (result.status, result.finding) == (Status.COMPLETED, Finding.NONE)
    assert "No evidence found" in result.note
    assert "authentic" not in result.note


def test_partly_generated_is_suspicious(examine: Examine, signing: ModuleType) -> None:
    data = signing.sign(signing.picture(), "compositeWithTrainedAlgorithmicMedia", action="c2pa.edited")
    result = examine(data)
    assert result.finding is Finding.SUSPICIOUS
    assert "parts of it were generated" in result.note


def test_what_a_generated_picture_became_in_an_editor_is_still_declared(examine: Examine, signing: ModuleType) -> None:
    generated = signing.sign(signing.picture())
    result = examine(signing.sign(generated, parent=generated))
    assert result.finding is Finding.DECLARED_SYNTHETIC
    assert result.facts["c2pa_ingredients"] == 1


def test_a_parent_that_did_not_verify_declares_nothing(examine: Examine, signing: ModuleType) -> None:
    forged = signing.flipped(signing.sign(signing.picture()), -200)
    result = examine(signing.sign(signing.picture(), parent=forged))
    assert result.finding is not Finding.DECLARED_SYNTHETIC
    assert answer.prediction(result)[0] == "INCONCLUSIVE"


def test_saving_again_removes_the_manifest_and_is_inconclusive(examine: Examine, signing: ModuleType) -> None:
    again = io.BytesIO()
    Image.open(io.BytesIO(signing.sign(signing.picture()))).save(again, "JPEG", quality=90)
    result = examine(again.getvalue())
    assert (result.status, result.finding) == (Status.INCONCLUSIVE, Finding.NONE)
    assert "no C2PA manifest" in str(result.inconclusive_reason)


@pytest.mark.parametrize("kind", ["png", "mp4", "wav"])
def test_manifests_are_read_from_pictures_clips_and_recordings(
    examine: Examine, signing: ModuleType, kind: str
) -> None:
    data, mimetype = {
        "png": (signing.picture("PNG"), "image/png"),
        "mp4": (_clip(), "video/mp4"),
        "wav": (_recording(), "audio/wav"),
    }[kind]
    assert examine(signing.sign(data, mimetype=mimetype)).finding is Finding.DECLARED_SYNTHETIC
    assert examine(data).status is Status.INCONCLUSIVE


def test_a_container_that_knows_no_manifests_is_inconclusive(examine: Examine) -> None:
    result = examine(_clip("clip.matroska"))
    assert result.facts["c2pa"] == "unsupported"
    assert result.facts["tag_comment"] == "made by a test"


def test_a_manifest_on_a_server_is_told_and_not_fetched(
    examine: Examine, signing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        result = examine(signing.sign(signing.picture(), remote_url=address))
        assert result.facts["c2pa"] == "remote"
        with pytest.raises(TimeoutError):
            server.accept()


def test_unsigned_generation_settings_are_told_as_a_claim_and_never_decide(examine: Examine) -> None:
    text = PngInfo()
    text.add_text("parameters", "a cat, Steps: 20, Sampler: Euler a, Seed: 1")
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG", pnginfo=text)
    result = examine(out.getvalue())
    assert (result.status, result.finding) == (Status.INCONCLUSIVE, Finding.NONE)
    assert "Steps: 20" in str(result.facts["png_parameters"])
    assert "Anybody could have written that" in result.note


@pytest.mark.parametrize(
    "form",
    [
        '<rdf:Description Iptc4xmpExt:DigitalSourceType="{}"/>',
        "<Iptc4xmpExt:DigitalSourceType>{}</Iptc4xmpExt:DigitalSourceType>",
        '<Iptc4xmpExt:DigitalSourceType rdf:resource="{}"/>',
    ],
)
def test_an_unsigned_source_type_in_xmp_is_read_in_each_of_its_forms(
    examine: Examine, signing: ModuleType, form: str
) -> None:
    xmp = "<x:xmpmeta>" + form.format(signing.IPTC + "trainedAlgorithmicMedia") + "</x:xmpmeta>"
    result = examine(signing.picture(xmp=xmp.encode()))
    assert result.facts["xmp_source_type"] == "trainedAlgorithmicMedia"
    assert result.finding is Finding.NONE
    assert "source type is trainedAlgorithmicMedia" in result.note


def test_exif_software_is_a_fact_and_control_characters_stay_out(examine: Examine, signing: ModuleType) -> None:
    exif = Image.Exif()
    exif[0x0131] = "Paint\x07er 3"
    result = examine(signing.picture(exif=exif))
    assert result.facts["exif_software"] == "Paint er 3"


def test_a_file_that_is_no_media_is_bad_media(examine: Examine) -> None:
    for data in (b"", b"plain words " * 50, b"#EXTM3U\nhttp://127.0.0.1/x.ts\n"):
        with pytest.raises(BadMedia):
            examine(data)


def test_a_damaged_manifest_store_is_told_and_does_not_decide(examine: Examine, signing: ModuleType) -> None:
    data = signing.sign(signing.picture())
    store = data.find(b"jumb")
    result = examine(data[: store + 40] + b"\xff" * 200 + data[store + 240 :])
    assert answer.prediction(result)[0] == "INCONCLUSIVE"
    assert result.facts["c2pa"] in ("unreadable", "invalid", "none")


def test_a_trust_list_that_cannot_be_read_keeps_the_detector_from_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUST_ANCHORS", str(tmp_path / "missing.pem"))
    with pytest.raises(Unloadable, match="TRUST_ANCHORS"):
        Provenance().load()


def test_every_answer_carries_the_limits(examine: Examine, signing: ModuleType) -> None:
    result = examine(signing.picture())
    media = MediaFile(Path("x"), MediaType.IMAGE, "image/jpeg")
    assert answer.data(DETECTOR, media, result, 0.1)["limits"] == list(DETECTOR.limits)
