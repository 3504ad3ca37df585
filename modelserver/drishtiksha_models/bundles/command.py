"""`drishtiksha-models bundle …`: make a bundle, look at it, try it, calibrate it. `main` adds it to the command line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .inputs import LAYOUTS

OK, USAGE, BAD_MEDIA, REFUSED = 0, 64, 65, 69


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The sub-commands."""
    bundle = commands.add_parser(
        "bundle", help="serve your own ONNX network: init, check, seal, run, calibrate, schema"
    )
    kinds = bundle.add_subparsers(dest="bundle", required=True, metavar="COMMAND")
    init = kinds.add_parser("init", help="a first manifest for an ONNX file; what was guessed is said")
    init.add_argument("folder", type=Path, help="the bundle to make, like bundles/MY-NET-V1")
    init.add_argument("--model", type=Path, required=True, help="the ONNX file; it is copied")
    init.add_argument(
        "--golden", type=Path, required=True, help="a file whose answer shall be the same wherever it is served"
    )
    init.add_argument("--name", required=True, help="the model's name, like MY-NET-V1")
    init.add_argument(
        "--sampler", choices=sorted(LAYOUTS), default="whole-image", help="what it sees (default whole-image)"
    )
    init.add_argument("--licence", default="LicenseRef-unknown", help="SPDX identifier of the weights' licence")
    init.add_argument("--source", default="unknown", help="where the weights come from, like a URL")
    init.set_defaults(run=_init)
    check = kinds.add_parser("check", help="everything that the service checks before it serves a bundle")
    check.add_argument("folder", type=Path)
    check.add_argument("--json", action="store_true", help="one JSON object")
    check.set_defaults(run=_check)
    seal = kinds.add_parser("seal", help="after a change: write hashes, sizes and the golden answer anew")
    seal.add_argument("folder", type=Path)
    seal.set_defaults(run=_seal)
    run = kinds.add_parser("run", help="examine one file")
    run.add_argument("folder", type=Path)
    run.add_argument("file", type=Path)
    run.add_argument("--json", action="store_true", help="the result as the service would answer it")
    run.set_defaults(run=_run)
    calibrate = kinds.add_parser("calibrate", help="fit a probability to labelled media: FOLDER/real and FOLDER/fake")
    calibrate.add_argument("folder", type=Path)
    calibrate.add_argument("media", type=Path, help="a folder with the folders real and fake")
    calibrate.add_argument("--write", action="store_true", help="into the manifest, which is sealed again")
    calibrate.add_argument("--json", action="store_true", help="one JSON object")
    calibrate.set_defaults(run=_calibrate)
    schema = kinds.add_parser("schema", help="the JSON Schema of manifest.json")
    schema.set_defaults(run=_schema)


def _init(words: argparse.Namespace) -> int:
    from .manifest import BadBundle
    from .scaffold import Wanted, init

    try:
        guesses = init(
            Wanted(words.folder, words.model, words.golden, words.name, words.sampler, words.licence, words.source)
        )
    except (BadBundle, FileExistsError) as error:
        return _fail(REFUSED, str(error))
    print(
        f"{words.folder} is a bundle. Look at these in its manifest.json, then: drishtiksha-models bundle seal {words.folder}"
    )
    for guess in (*guesses, "evidence: say what it claims to measure, and what it cannot see"):
        print(f"  {guess}")
    return OK


def _check(words: argparse.Namespace) -> int:
    from .checking import check

    found = check(words.folder)
    if words.json:
        print(
            json.dumps(
                {"good": found.good, "checks": [{"what": c.what, "wrong": c.wrong} for c in found.checks]}, indent=2
            )
        )
    else:
        for each in found.checks:
            print(f"{'✗' if each.wrong else '✓'} {each.what}" + (f"\n    {each.wrong}" if each.wrong else ""))
        print("It can be served." if found.good else "It would not be served.")
    return OK if found.good else REFUSED


def _seal(words: argparse.Namespace) -> int:
    from .manifest import BadBundle
    from .scaffold import seal

    try:
        manifest = seal(words.folder)
    except BadBundle as error:
        return _fail(REFUSED, str(error))
    print(f"sealed; {manifest['golden']['file']} gives {manifest['golden']['expected']}")
    return OK


def _run(words: argparse.Namespace) -> int:
    from ..running import report_on
    from .detector import BundleDetector
    from .folder import open_bundle
    from .manifest import BadBundle

    try:
        detector = BundleDetector(open_bundle(words.folder))
        detector.load()
    except BadBundle as error:
        return _fail(REFUSED, str(error))
    return report_on(detector, words.file, as_json=words.json)


def _calibrate(words: argparse.Namespace) -> int:
    from .calibrating import fit, scored
    from .detector import BundleDetector
    from .folder import open_bundle
    from .manifest import MANIFEST, BadBundle
    from .scaffold import seal, write

    missing = [name for name in ("real", "fake") if not (words.media / name).is_dir()]
    if missing:
        return _fail(
            USAGE, f"there is no folder {words.media / missing[0]}; media are labelled by the folders real and fake"
        )
    try:
        detector = BundleDetector(open_bundle(words.folder))
        detector.load()
        real, fake = (scored(detector, words.media / label, _telling(label)) for label in ("real", "fake"))
        found = fit(real, fake)
    except (BadBundle, ValueError) as error:
        return _fail(REFUSED, str(error))
    calibration = _as_manifest(found)
    left_out = {
        f"{label}/{name}": why for label, s in (("real", real), ("fake", fake)) for name, why in s.left_out.items()
    }
    if words.write:
        manifest = json.loads((words.folder / MANIFEST).read_bytes())
        manifest["calibration"] = {**calibration, "source": manifest.get("calibration", {}).get("source", "")}
        write(words.folder, manifest)
        seal(words.folder)
    if words.json:
        print(json.dumps({"calibration": calibration, "left_out": left_out}, indent=2))
        return OK
    print(
        f"{found.n_real} real, {found.n_fake} fake; AUC {found.auc:.3f}, ECE {found.ece:.3f} (by media outside of the fit)"
    )
    print(f"P(fake) = 1 / (1 + exp({found.a:.4f} s + {found.b:.4f}))")
    if not calibration["emit_probability"]:
        print(
            "Too few media for a probability: 200 of each class are needed. The figures are kept, the score stays a score."
        )
    for name, why in left_out.items():
        print(f"  left out: {name}: {why}")
    return OK


def _as_manifest(found: Any) -> dict[str, Any]:
    from .manifest import ENOUGH

    return {
        "status": "empirical",
        "set": found.set,
        "n_real": found.n_real,
        "n_fake": found.n_fake,
        "auc": round(found.auc, 6),
        "ece": round(found.ece, 6),
        "platt": {"a": found.a, "b": found.b},
        "emit_probability": min(found.n_real, found.n_fake) >= ENOUGH,
    }


def _schema(_words: argparse.Namespace) -> int:
    from .manifest import schema

    print(schema(), end="")
    return OK


def _telling(label: str) -> Any:
    def tell(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r  {label}: {done} of {of}", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return tell


def _fail(code: int, sentence: str) -> int:
    print(f"drishtiksha-models: {sentence}", file=sys.stderr)
    return code
