"""The cards of the detectors, `docs/detectors/NAME.md`: what each measures, figures with n, what it misses, what it costs.

`drishtiksha-models cards` makes the media of `specimens/recipes.py`, examines them as `evaluate` does, and writes the cards.
A card has no word of a machine: processor seconds are the only figures in it that differ from one machine to the next.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

PICTURE = 420
"""Pixels of the longer side of a card's pictures."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    one = commands.add_parser("cards", help="write the detectors' cards anew, from media that are drawn by code")
    one.add_argument("folder", type=Path, help="like docs/detectors")
    one.add_argument("--model", action="append", default=[], metavar="NAME", help="only this detector (repeatable)")
    one.set_defaults(run=write_all)


def write_all(arguments: argparse.Namespace) -> int:
    """A card for each detector, by discovery. Returns the exit code: 69 when a detector could not be examined."""
    from ..registry import discover
    from ..specimens.recipes import RECIPES

    absent = 0
    for entry in discover(arguments.model):
        if entry.detector is None:
            print(f"{entry.name}: no card, {entry.reason}", file=sys.stderr)
            absent += 1
            continue
        with tempfile.TemporaryDirectory(prefix="drishtiksha-cards-") as place:
            report = _examined(entry.detector, RECIPES.get(entry.name), Path(place))
            if report is not None and report["reason"]:
                print(f"{entry.name}: no card, it is not loaded: {report['reason']}", file=sys.stderr)
                absent += 1
                continue
            _write(arguments.folder, entry.name, report, RECIPES.get(entry.name), Path(place), entry.detector)
        print(arguments.folder / f"{entry.name}.md", flush=True)
    return 69 if absent else 0


def _examined(detector: Any, recipe: Any, place: Path) -> dict[str, Any] | None:
    """The report on the recipe's media, with what was said of the two that the card shows."""
    from .command import write
    from .dataset import read
    from .study import Study

    if recipe is None:
        return None
    for name, make in recipe.media:
        path = place / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_name(path.name + _suffix(detector))
        make(whole)
        whole.rename(path)
    data = read(place / "media")
    study = Study.open(place / "out", resume=False)
    study.run([detector], data.items, 600.0, lambda *_progress: None)
    report = write(study, [detector], data, place / "media", 0, finished=True)
    (model,) = report["models"]
    rows = {row["file"]: row for row in study.rows}
    shown = {"hit": rows.get(recipe.hit.file), "miss": rows.get(recipe.miss.file)}
    return {**model, "shown": {kind: row for kind, row in shown.items() if row}}


def _suffix(detector: Any) -> str:
    """By which the encoder of films knows its container; the detectors never look at it."""
    from drishtiksha.domain.media import MediaType

    return ".mp4" if detector.media_types == frozenset({MediaType.VIDEO}) else ""


def _write(folder: Path, name: str, report: dict[str, Any] | None, recipe: Any, place: Path, detector: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    if recipe is not None:
        (folder / "pictures").mkdir(exist_ok=True)
        for kind, example in (("hit", recipe.hit), ("miss", recipe.miss)):
            data = _picture(detector, place / "media" / example.file)
            if data is not None:
                pictures[kind] = f"pictures/{name}-{kind}.jpg"
                (folder / pictures[kind]).write_bytes(data)
    (folder / f"{name}.md").write_text(card(name, detector, report, recipe, pictures), "utf-8")


def _picture(detector: Any, path: Path) -> bytes | None:
    """The first picture of the evidence; of a file without one, the file itself where it is a picture."""
    from ..decode.identify import identify
    from ..detector import Deadline
    from .pictures import small

    detector.load()
    media = identify(path, path.name)
    said = detector.examine(media, lambda _progress: None, Deadline(600))
    if said.images:
        return small(said.images[0].data, PICTURE)
    return small(path, PICTURE) if media.mimetype.startswith("image/") else None


def card(name: str, detector: Any, report: dict[str, Any] | None, recipe: Any, pictures: dict[str, str]) -> str:
    """The card as Markdown. Pure."""
    kinds = ", ".join(sorted(str(kind).lower() for kind in detector.media_types))
    parts = [
        f"# {name} {detector.version}",
        "Made by `make detector-cards`; do not write here. What stands behind it, with figures on real media: [README](README.md).",
        f"**Measures.** {detector.description} Examines: {kinds}.",
        "**Cannot see.**\n\n" + "\n".join(f"- {limit}" for limit in detector.limits),
    ]
    if report is None or recipe is None:
        return "\n\n".join([*parts, "**Figures.** None: there is no recipe of media for it.\n"])
    parts += [f"**Figures.** {recipe.made} {_first_up(recipe.labels)}.", _table(report), _ranking(report)]
    parts.append("**Known failures.**\n\n" + "\n".join(f"- {line}" for line in recipe.failures))
    for kind, example in (("hit", recipe.hit), ("miss", recipe.miss)):
        row = report["shown"].get(kind, {})
        said = f"{row['prediction']}, finding {row['finding']}. {row['note']}" if row.get("finding") else row.get("message", "")  # fmt: skip
        image = f"\n\n![{kind}]({pictures[kind]})" if kind in pictures else ""
        parts.append(f"**A {kind}:** `{example.file}`. {example.words} It said: {said}{image}")
    cost = report["cost"]
    if cost:
        parts.append(
            f"**Cost** of one such file (median of {cost['n']}): {_seconds(cost['cpu_s']['median'])} of one processor, "
            f"{cost['peak_mb']['median']:.0f} MiB at the peak, libraries included. Larger media: [cost.md](cost.md)."
        )
    return "\n\n".join(parts) + "\n"


def _table(report: dict[str, Any]) -> str:
    lines = ["| files | n | FAKE | suspicious | not decided |", "|---|---|---|---|---|"]
    for one in report["manipulations"]:
        quiet = one["n"] - one["FAKE"] - one["suspicious"]
        lines.append(f"| {'left alone' if not one['fake'] else one['name']} | {one['n']} | {one['FAKE']} | {one['suspicious']} | {quiet} |")  # fmt: skip
    real, fake = report["decisions"]["real"]["FAKE"], report["decisions"]["fake"]["FAKE"]
    silent = report["abstention"]
    return "\n".join(lines) + (
        f"\n\nCalled FAKE: {_share(fake)} of `fake`, {_share(real)} of `real`. Could say nothing, with a reason: "
        f"{silent['fake']['count']} of {silent['fake']['n']} and {silent['real']['count']} of {silent['real']['n']}."
    )


def _share(one: dict[str, Any]) -> str:
    return f"{one['count']} of {one['n']} (95 % interval {one['low']:.0%} to {one['high']:.0%})"


def _ranking(report: dict[str, Any]) -> str:
    ranking = report["ranking"]
    if not ranking["applicable"]:
        return f"ROC, AUC and EER: not applicable, {ranking['reason']}. Calibration: not applicable, {report['calibration'].get('reason', '')}."
    auc = ranking["auc"]
    return (
        f"AUC of `{ranking['statistic']}`: {auc['value']:.3f} (bootstrap {auc['low']:.3f} to {auc['high']:.3f}; {ranking['n_real']} "
        f"and {ranking['n_fake']} files have one), equal error rate {ranking['eer']['value']:.0%}. So few files give too narrow an "
        f"interval. Calibration: {'see report' if report['calibration']['applicable'] else 'not applicable, ' + report['calibration']['reason']}."
    )


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def _first_up(text: str) -> str:
    return text[0].upper() + text[1:]
