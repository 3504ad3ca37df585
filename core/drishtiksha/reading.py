"""How a group of settings is read: from the environment, else `.env` of the working folder, else the secrets folder.

The groups themselves stand in `settings`, which hands everything here on.
"""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

from .domain.errors import BadSettings
from .names import is_service_link

DOTENV = Path(".env")
"""Of the working folder."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(text: object) -> object:
    """`90`, `90s`, `10m`, `24h`, `7d`, `2w` as seconds; anything else is returned for pydantic to refuse."""
    if isinstance(text, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\s*", text)):
        return float(found[1]) * _UNITS[found[2] or "s"]
    return text


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
"""A duration: a number with ms, s, m, h, d or w; a bare number is seconds."""


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _split(text: object) -> object:
    return _parts(text) if isinstance(text, str) else text


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_split)]


def _networks(text: object) -> object:
    try:
        return [ip_network(part, strict=False) for part in _parts(text)] if isinstance(text, str) else text
    except ValueError:
        raise ValueError("must be addresses or networks such as 10.0.0.0/8, with commas between them") from None


Networks = Annotated[list[IPv4Network | IPv6Network], NoDecode, BeforeValidator(_networks)]
"""Addresses or networks (CIDR) with commas between them."""


class Group(BaseSettings):
    """Base of all groups: exact names, `.env` of the working folder, files in DRISHTIKSHA_SECRETS_DIR."""

    model_config = SettingsConfigDict(
        env_file=None, extra="ignore", case_sensitive=True, env_ignore_empty=True, populate_by_name=True, frozen=True,
        use_attribute_docstrings=True,
    )  # fmt: skip


GroupT = TypeVar("GroupT", bound=Group)


def spellings(field: FieldInfo) -> tuple[str, ...]:
    """The names under which a setting is read; the first is the one we tell."""
    alias = field.validation_alias
    return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (str(alias),)


def names_of(*groups: type[Group]) -> frozenset[str]:
    """All names that these groups read."""
    return frozenset(name for group in groups for field in group.model_fields.values() for name in spellings(field))


def load(group: type[GroupT], file: Path = DOTENV) -> GroupT:
    """Read one group from the environment, `.env` and the secrets folder. Raises BadSettings with a sentence per fault."""
    try:
        return group(_env_file=file if file.is_file() else None, _secrets_dir=secrets_folder())
    except ValidationError as error:
        raise BadGroup([_sentence(group, e["loc"], e["msg"], e["type"]) for e in error.errors()]) from None
    except (OSError, UnicodeError) as error:
        raise BadSettings(f"a file of settings cannot be read: {error}") from None


class BadGroup(BadSettings):
    """What is wrong with a group, a sentence per setting."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = sentences


def secrets_folder() -> Path | None:
    """The folder of DRISHTIKSHA_SECRETS_DIR. Raises BadSettings when there is none of that name."""
    named = os.environ.get("DRISHTIKSHA_SECRETS_DIR")
    if not named:
        return None
    if not os.access(named, os.R_OK | os.X_OK) or not Path(named).is_dir():
        raise BadSettings(f"DRISHTIKSHA_SECRETS_DIR: {named} is no folder that can be read; mount it, or unset it")
    return Path(named)


def from_anywhere(file: Path = DOTENV) -> dict[str, str]:
    """All names with their values as `load` sees them: the environment before `.env` before the secrets folder."""
    return secret_files() | from_file(file) | dict(os.environ)


def from_file(file: Path = DOTENV) -> dict[str, str]:
    """Names and values of a `.env`; none when it is not there."""
    return {name: value or "" for name, value in DotEnvSettingsSource(Group, env_file=file).env_vars.items()}


def secret_files() -> dict[str, str]:
    """What the files of the secrets folder hold, by their names. Raises BadSettings."""
    folder = secrets_folder()
    try:
        files = [file for file in folder.iterdir() if file.is_file() and file.name.isidentifier()] if folder else []
        return {file.name: file.read_text(encoding="utf-8").strip() for file in files}
    except (OSError, UnicodeError) as error:
        raise BadSettings(f"DRISHTIKSHA_SECRETS_DIR: {folder} cannot be read ({error})") from None


def _sentence(group: type[Group], where: tuple[int | str, ...], message: str, kind: str) -> str:
    if not where:  # of several settings together: the sentence names them
        return message.removeprefix("Value error, ")
    field = group.model_fields.get(str(where[0]))
    name = spellings(field)[0] if field else ".".join(map(str, where))
    if kind == "missing":
        return f"{name} is not set"
    link = os.environ.get(name, "")
    if is_service_link(name, link):
        return f"{name}: Kubernetes set it to {link}, as a Service is called so: set enableServiceLinks: false"
    return f"{name}: {message.removeprefix('Value error, ')}"
