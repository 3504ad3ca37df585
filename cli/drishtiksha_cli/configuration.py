"""`drishtiksha config`: are the settings right, and what do they mean?

It looks with the eyes of the processes: the same groups, read from the same places. The operator's YAML and the model
service's group belong to those processes; their two modules are pure and the only ones that are borrowed here.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import NOT_ANALYZED, OK, USAGE, CommandFailed

if TYPE_CHECKING:
    from drishtiksha.settings import Group

app = typer.Typer(help="Check the settings, or print what each one means.", no_args_is_help=True, rich_markup_mode=None)

BROUGHT = {"DATABASE_URL": "PostgreSQL", "REDIS_URL": "Valkey"}
"""What `up` brings where it is not set, with the password in DRISHTIKSHA_DATABASE_PASSWORD."""


@dataclass
class Found:
    """What was looked at, and the sentences about it. `faults` stop a process, `notes` do not."""

    places: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def wrong(self, sentence: str) -> None:
        """One sentence once: settings stand in several groups."""
        if sentence not in self.faults:
            self.faults.append(sentence)


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A .env or a DRISHTIKSHA_CONFIG to look at [default: .env]")
    ] = None,
    process: Annotated[
        list[str] | None, typer.Option(help="Only what this one reads: api, door, operator …; may repeat")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words")] = False,
) -> None:
    """Say what is wrong with the settings.

    Looks at the environment, .env, the secrets folder and the file of DRISHTIKSHA_CONFIG. Exit 1 with a sentence for
    each fault.
    """
    if file is not None and not file.is_file():
        raise CommandFailed(f"{file}: {'this is no file' if file.exists() else 'there is no such file'}", USAGE)
    if file is not None and file.suffix in (".yaml", ".yml"):
        found = look_at_yaml(file)
    else:
        found = look(file or _usual_file(), _groups_of(process or ()))
    if as_json:
        import json

        print(json.dumps({"ok": not found.faults, **found.__dict__}, indent=2, ensure_ascii=False))
    else:
        _print(found)
    raise typer.Exit(NOT_ANALYZED if found.faults else OK)


@app.command(name="reference")
def reference_() -> None:
    """Print what every setting means, as Markdown."""
    typer.echo(reference(), nl=False)


def reference() -> str:
    """docs/api/settings.md."""
    from drishtiksha.names import OTHER_NAMES, RETIRED
    from drishtiksha.settings import GROUPS, READ_BY, Process

    from .reference import document

    groups: list[tuple[type[Group], Iterable[str]]] = [
        (group, [name for name, read in READ_BY.items() if group in read]) for group in GROUPS if group is not Process
    ]
    every = (Process, ["every process"])
    return document([every, *groups, (_model_service(), ["modelserver"])], OTHER_NAMES, RETIRED)


def look(dotenv: Path, groups: Iterable[type[Group]]) -> Found:
    """The settings as these groups' processes would see them, with this file as their `.env`."""
    from drishtiksha.domain.errors import BadSettings
    from drishtiksha.names import is_service_link, retired
    from drishtiksha.reading import BadGroup, from_anywhere, from_file, load, names_of, secrets_folder
    from drishtiksha.settings import BUCKETS, GROUPS, ML, Operator, check_names

    found, groups = Found(), list(groups)
    try:
        folder, all_names = secrets_folder(), from_anywhere(dotenv)
    except BadSettings as error:
        found.wrong(str(error))
        return found
    known = names_of(*GROUPS, _model_service())
    found.places["environment"] = f"{len(known & os.environ.keys())} settings"
    found.places["file"] = str(dotenv.absolute()) if dotenv.is_file() else f"{dotenv.absolute()} (not there)"
    found.places["secrets folder"] = str(folder) if folder else "none (DRISHTIKSHA_SECRETS_DIR)"

    # Names that nobody knows, and those of the predecessor.
    found.notes += retired(name for name, value in all_names.items() if not is_service_link(name, value))
    try:
        check_names(all_names)
    except BadSettings as error:
        found.wrong(str(error) + _meant(str(error), known))
    _names_of_the_file(found, from_file(dotenv), dotenv)

    # Every group, as its process would read it; of the buckets only the one that was chosen.
    chosen = BUCKETS.get(all_names.get("STORAGE_PROVIDER", ""))
    for group in (one for one in groups if one is chosen or one not in BUCKETS.values()):
        try:
            load(group, dotenv)
        except BadGroup as error:
            for sentence in error.sentences:
                _sentence(found, sentence, all_names)
        except BadSettings as error:
            found.wrong(str(error))

    # The operator's own file.
    if Operator in groups:
        try:
            operator, ml = load(Operator, dotenv), load(ML, dotenv)
            found.places["config"] = str(operator.config or "none (DRISHTIKSHA_CONFIG)")
            if operator.config is not None:
                found.faults += look_at_yaml(operator.config, dotenv, ml).faults
        except BadSettings:
            found.notes.append("the file of DRISHTIKSHA_CONFIG was not looked at: first mend what is above")
    return found


def look_at_yaml(path: Path, dotenv: Path | None = None, ml: object = None) -> Found:
    """The operator's services and profiles in a file."""
    from drishtiksha.domain.errors import BadSettings
    from drishtiksha.reading import DOTENV, from_anywhere, load
    from drishtiksha.settings import ML

    found = Found({"config": str(path)})
    try:
        from drishtiksha_operator.config import parse

        text, dotenv = path.read_text(encoding="utf-8"), dotenv or DOTENV
        parse(text, ml if isinstance(ml, ML) else load(ML, dotenv), from_anywhere(dotenv), str(path))
    except BadSettings as error:
        found.wrong(str(error))
    except (OSError, UnicodeError) as error:
        found.wrong(f"DRISHTIKSHA_CONFIG: {path} cannot be read ({getattr(error, 'strerror', None) or error})")
    return found


def _names_of_the_file(found: Found, stands: dict[str, str], dotenv: Path) -> None:
    """A name in a file of ours that nobody reads is a slip of the pen, whatever it begins with."""
    from drishtiksha.names import OTHER_NAMES, successor
    from drishtiksha.settings import GROUPS, names_of

    known = names_of(*GROUPS, _model_service()) | OTHER_NAMES.keys()
    for name in sorted(stands.keys() - known):
        if not name.startswith("DRISHTIKSHA_") and successor(name) is None:
            found.wrong(f"{dotenv}: unknown setting {name}: check the spelling, or remove it{_meant(name, known)}")


def _sentence(found: Found, sentence: str, all_names: dict[str, str]) -> None:
    """A fault, unless `up` brings what is missing."""
    name = sentence.partition(" ")[0]
    if name in BROUGHT and sentence.endswith("is not set") and all_names.get("DRISHTIKSHA_DATABASE_PASSWORD"):
        note = f"{name} is not set: `drishtiksha up` brings a {BROUGHT[name]} of its own"
        found.notes += [note] if note not in found.notes else []
    else:
        found.wrong(sentence)


def _meant(text: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, where one comes to mind."""
    names = [word.strip(",:") for word in text.split() if word.isupper() or "_" in word]
    close = [best for name in names for best in difflib.get_close_matches(name, known, n=1, cutoff=0.8)]
    return f"; did you mean {', '.join(close)}?" if close else ""


def _usual_file() -> Path:
    """The `.env` of the working folder, else that of this machine's platform."""
    from drishtiksha.reading import DOTENV
    from drishtiksha_devcluster import state

    return DOTENV if DOTENV.is_file() else state.settings_file(state.find_home())


def _groups_of(processes: Iterable[str]) -> list[type[Group]]:
    from drishtiksha.settings import READ_BY

    read = {**READ_BY, "modelserver": (_model_service(),)}
    if unknown := [name for name in processes if name not in read]:
        raise CommandFailed(f"--process {unknown[0]}: there are {', '.join(read)}", USAGE)
    named = [group for name in processes for group in read[name]]
    return list(dict.fromkeys(named)) or every_group()


def every_group() -> list[type[Group]]:
    """The settings of all processes."""
    from drishtiksha.settings import GROUPS

    return [*GROUPS, _model_service()]


def _model_service() -> type[Group]:
    from drishtiksha_models.settings import ModelService

    return ModelService


def _print(found: Found) -> None:
    for name, what in found.places.items():
        typer.echo(f"{name:<15} {what}")
    typer.echo()
    for note in found.notes:
        typer.echo(f"note   {note}")
    for fault in found.faults:
        typer.echo(f"wrong  {fault}")
    if not found.faults:
        typer.echo("All is well.")
