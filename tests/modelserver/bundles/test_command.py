"""`drishtiksha-models bundle …` as a person uses it, from an ONNX file to a calibrated model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_networks as nets

from drishtiksha_models.main import main

from .conftest import Make, change


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "exported.onnx"
    path.write_bytes(nets.trained())
    return path


def test_a_network_becomes_a_bundle_that_passes_its_check_and_examines_a_file(
    model: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "bundles" / "STRIPES-V1")
    assert (
        main(["bundle", "init", folder, "--model", str(model), "--golden", str(picture), "--name", "STRIPES-V1"]) == 0
    )
    said = capsys.readouterr().out
    assert "input.steps: pixels are divided by 255" in said
    assert "output.kind: logit" in said
    assert main(["bundle", "check", folder]) == 0
    said = capsys.readouterr().out
    assert said.count("✓") == 5
    assert said.endswith("It can be served.\n")
    assert main(["bundle", "run", folder, str(picture)]) == 0
    assert "STRIPES-V1  COMPLETED  finding SUSPICIOUS" in capsys.readouterr().out
    assert main(["bundle", "run", folder, str(picture), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["prediction"], data["probability_fake"], data["score"]["kind"]) == (
        "INCONCLUSIVE",
        None,
        "uncalibrated-statistic",
    )


def test_the_list_and_run_know_bundles(make: Make, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundles = str(make().parent)
    assert main(["list", "--bundles", bundles, "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["STRIPES-V1"]["loaded"]
    assert listed["STRIPES-V1"]["media_types"] == ["IMAGE"]
    assert main(["run", "STRIPES-V1", str(picture), "--bundles", bundles]) == 0


def test_a_family_without_weights_is_listed_only_when_asked_for_and_a_bundle_takes_its_place(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--json"]) == 0
    assert "bundle required" not in capsys.readouterr().out
    bundles = str(make(name="MEL-CNN-V2").parent)
    assert main(["list", "--all", "--json", "--bundles", bundles]) == 0
    absent = {row["name"]: row for row in json.loads(capsys.readouterr().out) if row["reason"] == "bundle required"}
    assert "MEL-CNN" not in absent
    assert (absent["SIGLIP-LSTM"]["loaded"], absent["SIGLIP-LSTM"]["sampler"]) == (False, "frame-sequence")
    assert main(["list", "--all"]) == 0
    assert "EFFICIENTNET-B7      image, video           not loaded: bundle required" in capsys.readouterr().out


def test_a_change_is_sealed_and_an_unsealed_one_is_found_out(
    make: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = make()
    (folder / "model.onnx").write_bytes(nets.trained(bias=2.0))
    assert main(["bundle", "check", str(folder)]) == 69
    said = capsys.readouterr().out
    assert "✗ model.onnx" in said
    assert "its sha256 is not the one in manifest.json" in said
    assert main(["bundle", "check", str(folder), "--json"]) == 69
    assert json.loads(capsys.readouterr().out)["good"] is False
    assert main(["bundle", "seal", str(folder)]) == 0
    assert main(["bundle", "check", str(folder)]) == 0


def test_each_thing_that_is_wrong_is_said_in_a_sentence(
    make: Make, model: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, nothing = make(), tmp_path / "nothing"
    words = tmp_path / "words.png"
    words.write_text("words")
    again = ["bundle", "init", str(folder), "--model", str(model), "--golden", str(picture), "--name", "X"]
    fresh = ["bundle", "init", str(nothing), "--name", "X", "--golden", str(picture), "--model"]
    for command, said in (
        (again, "is there already; change it and run: bundle seal"),
        ([*fresh, str(tmp_path / "no.onnx")], "no.onnx: cannot be read (No such file or directory)."),
        ([*fresh, str(picture)], "model.onnx: is no ONNX file"),
        ([*fresh[:-3], "--golden", str(words), "--model", str(model)], "words.png: "),
        (["bundle", "run", str(nothing), str(picture)], "nothing: is no folder"),
        (["bundle", "seal", str(nothing)], "manifest.json: "),
        (["bundle", "calibrate", str(folder), str(tmp_path)], "media are labelled by the folders real and fake"),
        (["bundle", "run", str(folder), str(tmp_path / "no.png")], "there is no file"),
        (["bundle", "run", str(folder), str(words)], ""),
    ):
        assert main(command) in (64, 65, 69), command
        out = capsys.readouterr()
        assert said in out.err, out.err
        assert "Traceback" not in out.err
        assert not nothing.exists()


def test_labelled_media_make_a_probability_only_when_there_are_enough(
    make: Make, tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, media = make(), tmp_path / "media"
    for label, draw in (("real", nets.smooth), ("fake", nets.striped)):
        (media / label).mkdir(parents=True)
        for number in range(200):
            nets.save(draw(1000 + number, 36), media / label / f"{number:03}.png")
    (media / "real" / "notes.txt").write_text("not a picture at all, only words\n" * 9)
    for path in list((media / "fake").iterdir())[:1]:
        path.rename(media / path.name)
    assert main(["bundle", "calibrate", str(folder), str(media), "--write"]) == 0
    said = capsys.readouterr().out
    assert "200 real, 199 fake" in said
    assert "Too few media for a probability" in said
    assert "left out: real/notes.txt" in said
    assert main(["bundle", "run", str(folder), str(picture), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["probability_fake"], found["calibration"]["kind"], found["calibration"]["n"]) == (
        None,
        "empirical",
        399,
    )
    for path in media.glob("*.png"):
        path.rename(media / "fake" / path.name)
    assert main(["bundle", "calibrate", str(folder), str(media), "--write", "--json"]) == 0
    calibration = json.loads(capsys.readouterr().out)["calibration"]
    assert calibration["emit_probability"]
    assert calibration["auc"] > 0.95
    assert main(["bundle", "check", str(folder)]) == 0
    capsys.readouterr()
    assert main(["bundle", "run", str(folder), str(picture), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["prediction"] == "FAKE"
    assert found["probability_fake"] > 0.9
    change(folder, {"calibration.n_fake": 3})
    assert main(["bundle", "check", str(folder)]) == 69
