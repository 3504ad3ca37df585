"""From rows to the report: one JSON object, whose shape `report.schema.json` fixes. Pure.

`study.py` makes the rows, `statistics.py` the numbers, `page.py` a page of it. Where a figure cannot be had, its place says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import statistics as st
from .choice import chosen, oriented

SCHEMA = "drishtiksha.io/evaluation/v1"
FEW = 20
"""Files of one class below which a report warns that its figures say little."""
Row = Mapping[str, Any]


def report(
    rows: Sequence[Row], models: Sequence[Mapping[str, Any]], about: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """The whole report. `models`: name, version, description, limits, media types, and `reason` where one did not load."""
    return {
        "schema": SCHEMA,
        **about,
        "seed": seed,
        "models": [_model(m, [r for r in rows if r["model"] == m["name"]], seed) for m in models],
    }


def _model(model: Mapping[str, Any], rows: Sequence[Row], seed: int) -> dict[str, Any]:
    examined = [r for r in rows if r["outcome"] in ("COMPLETED", "INCONCLUSIVE")]
    return {
        **model,
        "counts": {
            "files": len(rows),
            "examined": len(examined),
            "real": sum(not r["fake"] for r in examined),
            "fake": sum(bool(r["fake"]) for r in examined),
            "not_applicable": sum(r["outcome"] == "NOT_APPLICABLE" for r in rows),
            "failed": sum(r["outcome"] == "FAILED" for r in rows),
        },
        "warnings": _warnings(examined),
        "decisions": {label: _decisions(some) for label, some in _classes(examined)},
        "abstention": {label: _abstention(some) for label, some in _classes(examined)},
        "ranking": _ranking(examined, seed),
        "calibration": _calibration(examined, seed),
        "manipulations": _manipulations(examined, seed),
        "failures": _failures(rows),
        "cost": _cost(examined),
        "examples": [
            {"kind": kind, **{k: row[k] for k in ("file", "fake", "manipulation", "prediction", "finding", "note")},
             "statistic": oriented(dict(row)), "pictures": list(row.get("pictures") or [])}
            for row, kind in chosen([dict(r) for r in examined])
        ],
    }  # fmt: skip


def _classes(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [("real", [r for r in rows if not r["fake"]]), ("fake", [r for r in rows if r["fake"]])]


def _warnings(rows: Sequence[Row]) -> list[str]:
    return [
        f"Only {len(some)} {label} files: the figures say little, and bootstrap intervals of so few are too narrow."
        for label, some in _classes(rows)
        if 0 < len(some) < FEW
    ] + [f"No {label} file was examined." for label, some in _classes(rows) if not some]


def share(count: int, n: int) -> dict[str, Any]:
    """A share with its Wilson interval; all None of nothing."""
    interval = st.wilson(count, n)
    low, high = (None, None) if interval is None else (_round(interval[0]), _round(interval[1]))
    return {"count": count, "n": n, "share": _round(count / n) if n else None, "low": low, "high": high}


def _decisions(rows: Sequence[Row]) -> dict[str, Any]:
    """How often each prediction was made of one class, and every finding."""
    said = Counter(str(r["prediction"]) for r in rows)
    predictions = {name: share(said[name], len(rows)) for name in ("FAKE", "INCONCLUSIVE", "REAL")}
    return predictions | {"findings": dict(sorted(Counter(str(r["finding"]) for r in rows).items()))}


def _abstention(rows: Sequence[Row]) -> dict[str, Any]:
    """Examinations that ended INCONCLUSIVE, with their reasons. (A finding of NONE is none: it was measured.)"""
    some = [r for r in rows if r["outcome"] == "INCONCLUSIVE"]
    reasons = Counter(str(r.get("reason") or "no reason was given") for r in some)
    return share(len(some), len(rows)) | {"reasons": [{"reason": r, "count": n} for r, n in reasons.most_common(10)]}


def _ranking(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """ROC, AUC and EER of the statistic, whether or not the detector draws a conclusion from it."""
    scored = [(value, bool(r["fake"])) for r in rows if (value := oriented(dict(r))) is not None]
    values, fake = np.array([v for v, _ in scored], float), np.array([f for _, f in scored], bool)
    if not scored:
        return {"applicable": False, "reason": "the detector gives no score and no probability"}
    if fake.all() or not fake.any():
        return {"applicable": False, "reason": "only one class has a score"}
    fpr, tpr = st.roc(values, fake)
    low, high = st.bootstrap(values, fake, lambda v, f: np.append(st.on_grid(v, f), [st.auc(v, f), st.eer(*st.roc(v, f))]), seed)  # fmt: skip
    scores = [r for r in rows if r.get("probability") is None and r.get("score")]
    name = str(scores[0]["score"]["name"]) if scores else "probability_fake"
    return {
        "applicable": True,
        "statistic": name,
        "n_real": int((~fake).sum()),
        "n_fake": int(fake.sum()),
        "without": len(rows) - len(scored),
        "auc": {"value": _round(st.auc(values, fake)), "low": _round(low[-2]), "high": _round(high[-2])},
        "eer": {"value": _round(st.eer(fpr, tpr)), "low": _round(low[-1]), "high": _round(high[-1])},
        "roc": {"fpr": _list(_thin(fpr)), "tpr": _list(_thin(tpr))},
        "band": {"fpr": _list(st.GRID), "low": _list(low[:-2]), "high": _list(high[:-2])},
    }


def _calibration(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    known = [(float(r["probability"]), bool(r["fake"])) for r in rows if r.get("probability") is not None]
    if not known:
        return {"applicable": False, "reason": "the detector states no probability"}
    said, fake = np.array([p for p, _ in known]), np.array([f for _, f in known], bool)
    low, high = st.bootstrap(said, fake, st.ece, seed)
    return {
        "applicable": True,
        "n": len(known),
        "ece": {"value": _round(st.ece(said, fake)), "low": _round(float(low)), "high": _round(float(high))},
        "brier": _round(st.brier(said, fake)),
        "bins": [
            {"said": _round(b.said), "fakes": _round(b.fakes), "n": b.n, "low": _round(b.low), "high": _round(b.high)}
            for b in st.calibration(said, fake)
        ],
    }


def _manipulations(rows: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """One line for genuine files, one for each manipulation, with what was said of it and how well it ranks."""
    real = [r for r in rows if not r["fake"]]
    lines = [{"name": "real", "fake": False, **_line(real), "auc": None}] if real else []
    for name in sorted({str(r["manipulation"]) for r in rows if r["fake"]}):
        some = [r for r in rows if r["fake"] and r["manipulation"] == name]
        ranking = _ranking([*real, *some], seed)
        lines.append({"name": name, "fake": True, **_line(some), "auc": ranking.get("auc")})
    return lines


def _line(rows: Sequence[Row]) -> dict[str, Any]:
    said = Counter(str(r["prediction"]) for r in rows)
    suspicious = sum(r["finding"] == "SUSPICIOUS" for r in rows)
    return {"n": len(rows), "FAKE": said["FAKE"], "INCONCLUSIVE": said["INCONCLUSIVE"], "REAL": said["REAL"], "suspicious": suspicious}  # fmt: skip


def _failures(rows: Sequence[Row]) -> list[dict[str, Any]]:
    failed = [r for r in rows if r["outcome"] == "FAILED"]
    counted = Counter(str(r["cause"]) for r in failed)
    return [
        {"cause": cause, "count": count,
         "examples": [{"file": r["file"], "message": r["message"]} for r in failed if r["cause"] == cause][:5]}
        for cause, count in counted.most_common()
    ]  # fmt: skip


def _cost(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Processor seconds and highest memory per file (MiB, the process with its libraries included)."""
    if not rows:
        return None
    seconds = np.array([r["cpu_s"] for r in rows], float)
    memory = np.array([r["peak_mb"] for r in rows], float)
    return {
        "n": len(rows),
        "cpu_s": {"median": _round(float(np.median(seconds))), "p95": _round(float(np.percentile(seconds, 95))), "total": _round(float(seconds.sum()))},
        "peak_mb": {"median": _round(float(np.median(memory))), "highest": _round(float(memory.max()))},
    }  # fmt: skip


def _thin(values: st.Floats) -> st.Floats:
    """At most about 500 points, both ends among them."""
    if len(values) <= 500:
        return values
    thinned: st.Floats = values[np.unique(np.linspace(0, len(values) - 1, 500).round().astype(int))]
    return thinned


def _list(values: st.Floats) -> list[float]:
    return [_round(float(v)) for v in values]


def _round(value: float) -> float:
    return round(float(value), 5)
