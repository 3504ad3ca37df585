"""The labelled files of an evaluation: a folder `real/` and `fake/`, or a manifest as CSV or JSON lines.

`study.py` examines them. Nothing of a file is opened here. What cannot be used is named by its line and left out.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LABELS = {"real": False, "genuine": False, "bonafide": False, "bona-fide": False, "0": False, "fake": True, "spoof": True, "1": True}  # fmt: skip


class BadDataset(Exception):
    """The dataset cannot be evaluated at all; the text says why and what it should look like."""


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled file. `name` is its path as the dataset gives it; `manipulation` is empty for genuine files."""

    path: Path
    name: str
    fake: bool
    manipulation: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """The files in a fixed order, and what could not be read, one sentence each."""

    items: tuple[Item, ...]
    refused: tuple[str, ...] = ()


def read(source: Path) -> Dataset:
    """A folder or a manifest. Raises BadDataset when nothing is there, or nothing in it can be used."""
    if source.is_dir():
        found = Dataset(tuple(_folder(source)))
        cure = f"{source} needs the folders real/ and fake/ with files in them"
    elif source.is_file():
        found = _manifest(source)
        cure = "; ".join(found.refused[:3]) or f"{source} names no file"
    else:
        raise BadDataset(f"there is no folder or manifest {source}")
    if not found.items:
        raise BadDataset(f"there is nothing to examine: {cure}")
    return found


def _folder(source: Path) -> Iterator[Item]:
    """`real/**` and `fake/**`; the first folder under `fake/` names the manipulation."""
    for label in ("real", "fake"):
        for path in sorted(p for p in (source / label).rglob("*") if p.is_file() and not p.name.startswith(".")):
            inside = path.relative_to(source / label).parts
            kind = (inside[0] if len(inside) > 1 else "fake") if label == "fake" else ""
            yield Item(path, path.relative_to(source).as_posix(), label == "fake", kind)


def _manifest(source: Path) -> Dataset:
    """`path,label,manipulation`, one file a line; paths are relative to the manifest."""
    try:
        text = source.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataset(f"{source} is not UTF-8 text (byte {error.start})") from None
    rows = _json_lines(text) if text.lstrip().startswith("{") else _csv(text)
    items, refused, seen = [], [], set()
    for number, row in rows:
        item = row if isinstance(row, str) else _item(source.parent, row)
        if isinstance(item, str):
            refused.append(f"line {number}: {item}")
        elif item.name in seen:
            refused.append(f"line {number}: {item.name} was named before")
        else:
            seen.add(item.name)
            items.append(item)
    return Dataset(tuple(items), tuple(refused))


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            yield number, "this is no JSON object"
            continue
        yield number, row if isinstance(row, dict) else "this is no JSON object"


def _csv(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.reader(io.StringIO(text))
    head = [name.strip().lower() for name in next(reader, [])]
    if not {"path", "label"} <= set(head):
        raise BadDataset("line 1: a manifest begins with the names path,label,manipulation (or holds JSON lines)")
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        short = len(row) < len(head) and head.index("label") >= len(row)
        yield reader.line_num, "it has no label" if short else dict(zip(head, row, strict=False))


def _item(folder: Path, row: dict[str, Any]) -> Item | str:
    """The row as an item, or what is wrong with it. A file that is missing is found out, and counted, when it is examined."""
    name, label = str(row.get("path") or "").strip(), str(row.get("label", "")).strip().lower()
    if not name or "\0" in name:
        return "it names no path"
    if label not in _LABELS:
        return f"the label {label[:40]!r} is neither real nor fake"
    kind = str(row.get("manipulation") or "").strip()[:80]
    return Item(folder / name, name, _LABELS[label], (kind or "fake") if _LABELS[label] else "")
