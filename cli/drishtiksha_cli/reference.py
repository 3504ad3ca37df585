"""The reference of all settings as Markdown, made from the groups themselves. Pure; `configuration` hands them in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from drishtiksha.reading import seconds, spellings
from drishtiksha.settings import Group

HEAD = """# Settings

Made from the code by `drishtiksha config reference`; do not write here. `drishtiksha config check` says whether yours are right.

A setting comes from the environment; where it is not set there, from `.env` of the working folder; then from a file of its name in the
folder that `DRISHTIKSHA_SECRETS_DIR` names. Empty counts as not set. A bad value stops the process with a sentence that names the setting;
so does an unknown name that begins with `DRISHTIKSHA_`. A duration is a number with `ms`, `s`, `m`, `h`, `d` or `w`; a bare number is seconds.
`.env.example` is for processes on one machine, `.env.cluster.example` for the chart. The services and execution profiles of the operator stand
in the YAML file of `DRISHTIKSHA_CONFIG`; `drishtiksha.example.yaml` shows every key.
"""


def document(
    groups: Iterable[tuple[type[Group], Iterable[str]]], others: Mapping[str, str], retired: Mapping[str, str]
) -> str:
    """The whole page. `groups`: each with the processes that read it."""
    parts = [HEAD]
    for group, readers in groups:
        rows = [_row(field) for field in group.model_fields.values()]
        words = " ".join((group.__doc__ or "").split())
        parts.append(f"## {_title(group.__name__)}\n\n{words} Read by: {', '.join(readers)}.\n")
        parts.append(_table(("name", "type", "default", "meaning"), rows))
    parts.append("## Names that stand in no group\n")
    parts.append(_table(("name", "meaning"), [(f"`{name}`", words) for name, words in others.items()]))
    parts.append(
        "## Names of the predecessor\n\nEach one that is still set gets a warning at the start, and does nothing.\n"
    )
    parts.append(_table(("name", "instead"), [(f"`{name}`", words) for name, words in retired.items()]))
    return "\n".join(parts)


def kind(field: FieldInfo) -> str:
    """A setting's type in a word or two, with its bounds."""
    known = [one for one in get_args(field.annotation) if one is not type(None)]
    plain = known[0] if type(None) in get_args(field.annotation) else field.annotation
    if any(isinstance(one, BeforeValidator) and one.func is seconds for one in field.metadata):
        return "duration"
    if get_origin(plain) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(plain))
    pattern = next((one.pattern for one in field.metadata if getattr(one, "pattern", None)), "")
    if choices := re.fullmatch(r"\^\((\w+(?:\|\w+)+)\)\$", pattern):
        return " or ".join(f"`{word}`" for word in choices[1].split("|"))
    names: dict[Any, str] = {int: "whole number", float: "number", bool: "yes or no", Path: "path", SecretStr: "secret"}
    word = "list" if get_origin(plain) is list else names.get(plain, "text")
    bounds = {
        name: value
        for one in field.metadata
        for name in ("ge", "le")
        if (value := getattr(one, name, None)) is not None
    }
    if "ge" in bounds and "le" in bounds:
        return f"{word}, {bounds['ge']} to {bounds['le']}"
    return f"{word}, {bounds['ge']} or more" if bounds.get("ge") else word


def default(field: FieldInfo) -> str:
    """A setting's default as one would write it."""
    if field.is_required():
        return "**required**"
    value = field.default
    if value is None or value is PydanticUndefined:
        return "unset"
    return f"`{duration(value) if kind(field) == 'duration' else value}`"


def duration(value: float) -> str:
    """Seconds in the largest unit that takes them whole: 86400 is 24h, 604800 is 7d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if value % size == 0 and (unit != "d" or value > size):
            return f"{value / size:g}{unit}"
    return f"{value:g}s"


def _row(field: FieldInfo) -> tuple[str, ...]:
    name = " = ".join(f"`{spelling}`" for spelling in spellings(field))
    return name, kind(field), default(field), " ".join((field.description or "").split())


def _title(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
