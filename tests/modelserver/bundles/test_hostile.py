"""A bundle is a stranger's: what it may not have or do, and what happens to the service then (nothing)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_networks as nets
from onnx import TensorProto, helper

from drishtiksha.domain.media import MediaType
from drishtiksha_models.bundles import detector as detectors
from drishtiksha_models.bundles.checking import check
from drishtiksha_models.bundles.detector import BundleDetector
from drishtiksha_models.bundles.folder import open_bundle
from drishtiksha_models.bundles.manifest import BadBundle
from drishtiksha_models.bundles.scaffold import seal
from drishtiksha_models.detector import Deadline, DeadlinePassed, MediaFile

from .conftest import Make, change


def refused(folder: Path) -> str:
    """Why a bundle is not served."""
    with pytest.raises(BadBundle) as error:
        BundleDetector(open_bundle(folder)).load()
    return str(error.value)


def test_a_link_out_of_the_folder_is_not_followed(make: Make, tmp_path: Path) -> None:
    folder = make()
    outside = tmp_path / "outside.onnx"
    (folder / "model.onnx").rename(outside)
    (folder / "model.onnx").symlink_to(outside)
    assert "links are not followed" in refused(folder)
    (folder / "manifest.json").rename(tmp_path / "m.json")
    (folder / "manifest.json").symlink_to(tmp_path / "m.json")
    assert "links are not followed" in refused(folder)
    (tmp_path / "link").symlink_to(folder)
    assert "is no folder" in refused(tmp_path / "link")


def test_a_pipe_instead_of_a_file_holds_nobody_up(make: Make) -> None:
    folder = make()
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    assert refused(folder) == "model.onnx: is no regular file."


def test_bytes_that_are_not_those_of_the_manifest_are_not_run(make: Make) -> None:
    folder = make()
    model = folder / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])
    assert "has only" in refused(folder)
    model.write_bytes(whole + b"x")
    assert "has more" in refused(folder)
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "its sha256 is not the one in manifest.json" in refused(folder)
    model.write_bytes(whole)
    BundleDetector(open_bundle(folder)).load()


def test_weights_in_another_file_are_refused(make: Make, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(nets.trained())
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    tensor.ClearField("raw_data")
    with pytest.raises(BadBundle, match="keeps weights in another file"):
        make(model.SerializeToString())


def test_external_weights_in_an_inner_graph_are_refused_too(make: Make) -> None:
    model = onnx.load_model_from_string(nets.endless())
    body = next(node for node in model.graph.node if node.op_type == "Loop").attribute[0].g
    tensor = body.initializer.add(
        name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="../secret")
    with pytest.raises(BadBundle, match="keeps weights in another file"):
        make(model.SerializeToString())


def test_an_operator_that_would_need_code_is_refused(make: Make) -> None:
    node = helper.make_node("Anything", ["x"], ["y"], domain="somebody.else")
    with pytest.raises(BadBundle, match=r"operator somebody\.else\.Anything is not a standard one"):
        make(nets.graph([node], ["N", 3, 8, 8], ["N", 1], {}))


@pytest.mark.parametrize("data", [b"", b"not onnx", b"\x08\x09" * 1000], ids=["empty", "words", "noise"])
def test_what_is_no_network_is_refused(make: Make, data: bytes) -> None:
    with pytest.raises(BadBundle, match=r"model\.onnx"):
        make(data)


def test_a_network_that_never_ends_is_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "GOLDEN_SECONDS", 1.0)
    with pytest.raises(BadBundle, match="it may never end"):
        make(nets.endless())


def test_a_network_that_is_late_with_somebody_s_file_is_ended(make: Make, picture: Path) -> None:
    """Only files that are longer than the golden one take it so long."""
    good = BundleDetector(open_bundle(make()))
    good.load()
    with pytest.raises(DeadlinePassed):
        good.examine(MediaFile(picture, MediaType.IMAGE, "image/png"), lambda _: None, Deadline(0.0))


def test_a_network_that_wants_all_memory_is_refused(make: Make) -> None:
    shape = np.array([1, 2**40], np.int64)
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["y"])]
    with pytest.raises(BadBundle, match=r"fails on its input|cannot be run here"):
        make(nets.graph(nodes, ["N", 3, 8, 8], ["N", "M"], {"shape": shape}))


def test_nan_is_no_answer(make: Make) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["m", "m"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["nan"]),
        helper.make_node("ReduceMean", ["nan"], ["y"], axes=[1], keepdims=1),
    ]
    with pytest.raises(BadBundle, match="answers NaN or infinity"):
        make(nets.graph(nodes, ["N", 3, 8, 8], ["N", 1], {}))


def test_a_network_whose_head_was_turned_is_found_out_by_its_golden_file(make: Make) -> None:
    folder = make()
    (folder / "model.onnx").write_bytes(nets.trained(bias=1.0))
    manifest_of_before = (folder / "manifest.json").read_text()
    seal(folder)
    expected = manifest_of_before.partition('"expected": [')[2].partition("]")[0].strip()
    change(folder, {"golden.expected": [float(expected)]})
    assert "golden: the network is off by 1 here" in refused(folder)
    assert [each.wrong is None for each in check(folder).checks] == [True, True, True, True, False]


def test_steps_that_make_another_size_are_refused_with_both_sizes(make: Make) -> None:
    folder = make()
    steps = [{"op": "resize", "width": 16, "height": 24}]
    change(folder, {"input.steps": steps})
    assert "make 3 x 24 x 16 (CHW), model.onnx takes 3 x 32 x 32" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input.tensor": "z"}, "input.tensor: model.onnx has no input 'z'; its input is x."),
        ({"output.tensor": "z"}, "output.tensor: model.onnx has no output 'z'; it has y."),
        ({"input.dtype": "uint8"}, "input.dtype: is uint8, model.onnx takes float32."),
        ({"output.kind": "probability"}, "is its kind logit or logits?"),
        ({"output.kind": "logits", "output.classes": ["a", "b"]}, "answers 1 numbers per sample, logits needs 2."),
    ],
    ids=["input", "output", "dtype", "kind", "classes"],
)
def test_ports_that_do_not_fit_are_refused_by_name(make: Make, changes: dict[str, object], said: str) -> None:
    folder = make()
    change(folder, changes)
    assert said in refused(folder)
