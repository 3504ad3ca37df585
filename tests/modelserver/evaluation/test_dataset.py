"""Labelled files are found in folders and manifests; what cannot be used is named by its line and left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from drishtiksha_models.evaluation.dataset import BadDataset, read


def test_a_folder_tells_label_and_manipulation(tmp_path: Path) -> None:
    for name in ("real/a.png", "real/deep/b.png", "fake/swap/c.mp4", "fake/d.png", "fake/.hidden", "other/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = {item.name: (item.fake, item.manipulation) for item in read(tmp_path).items}
    assert found == {
        "real/a.png": (False, ""),
        "real/deep/b.png": (False, ""),
        "fake/d.png": (True, "fake"),
        "fake/swap/c.mp4": (True, "swap"),
    }


CSV = "path,label,manipulation\na.png,real,\nb.png,FAKE,swap\nc.png,perhaps,\n,real,\na.png,fake,\nd.png\n\ne.png,0,swap\n"
LINES = '{"path": "a.png", "label": "real"}\nnonsense\n{"path": "b.png", "label": 1, "manipulation": "swap"}\n["c"]\n{"label": "real"}\n'


def test_a_bad_line_of_a_table_is_named_by_its_number_and_the_rest_is_used(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text(CSV)
    found = read(tmp_path / "set.csv")
    assert [(i.name, i.fake, i.manipulation) for i in found.items] == [
        ("a.png", False, ""),
        ("b.png", True, "swap"),
        ("e.png", False, ""),
    ]
    assert found.items[0].path == tmp_path / "a.png"
    assert [line.split(":")[0] for line in found.refused] == ["line 4", "line 5", "line 6", "line 7"]
    assert "perhaps" in found.refused[0]


def test_a_bad_json_line_is_named_by_its_number_and_the_rest_is_used(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text(LINES)
    found = read(tmp_path / "set.jsonl")
    assert [(i.name, i.fake, i.manipulation) for i in found.items] == [("a.png", False, ""), ("b.png", True, "swap")]
    assert [line.split(":")[0] for line in found.refused] == ["line 2", "line 4", "line 5"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no folder or manifest"),
        (b"", "line 1"),
        (b"a,b\n1,2\n", "path,label,manipulation"),
        (b"path,label\nx,maybe\n", "line 2"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
    ids=["missing", "empty", "no-head", "only-bad-lines", "binary"],
)
def test_a_manifest_that_cannot_be_used_at_all_says_why(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "set.csv").write_bytes(content)
    with pytest.raises(BadDataset, match=words):
        read(tmp_path / "set.csv")


def test_an_empty_folder_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="real/ and fake/"):
        read(tmp_path)
