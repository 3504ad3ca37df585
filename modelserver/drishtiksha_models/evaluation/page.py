"""A report as one page of HTML that needs nothing else: charts and pictures stand inside it, no script, nothing from elsewhere.

`figures.py` makes the report, `charts.py` the charts, `page.css` the looks. Every word of a file's name or a detector is escaped.
"""

from __future__ import annotations

import base64
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from . import charts

_WORDS = {
    "hit": "hit: a fake that was raised",
    "missed": "missed: a fake about which nothing was raised",
    "false alarm": "false alarm: a genuine file that was raised",
    "example": "a genuine file, left alone",
}


def html(report: dict[str, Any], folder: Path) -> str:
    """The page. `folder` holds the pictures that the report names."""
    css = files(__package__).joinpath("page.css").read_text("utf-8")
    loaded = [m for m in report["models"] if not m["reason"]]
    absent = [m for m in report["models"] if m["reason"]]
    body = [_head(report, loaded), *[_model(m, folder) for m in loaded]]
    if absent:
        rows = "".join(f"<li><b>{escape(m['name'])}</b>: {escape(m['reason'])}</li>" for m in absent)
        body.append(f"<section><h2>Not loaded</h2><ul>{rows}</ul></section>")
    body.append(_foot(report))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>Evaluation of detectors: {escape(report['dataset']['name'])}</title><style>{css}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _head(report: dict[str, Any], loaded: list[dict[str, Any]]) -> str:
    data = report["dataset"]
    rows = "".join(
        f'<tr><td><a href="#{escape(m["name"])}">{escape(m["name"])}</a></td><td class="n">{m["counts"]["examined"]}</td>'
        f'<td class="n">{_brief(m["decisions"]["fake"]["FAKE"])}</td><td class="n">{_brief(m["decisions"]["real"]["FAKE"])}</td>'
        f'<td class="n">{_interval(m["ranking"].get("auc"))}</td>'
        f'<td class="n">{m["cost"]["cpu_s"]["median"] if m["cost"] else "–"}</td></tr>'
        for m in loaded
    )
    unfinished = "" if report["finished"] else '<p class="warn">This study was ended early: go on with <code>--resume</code>.</p>'  # fmt: skip
    return (
        f"<h1>Evaluation of detectors</h1><p>{escape(data['name'])}: {data['real']} genuine and {data['fake']} fake files. "
        f'<span class="soft">{escape(report["made"])}, drishtiksha {escape(report["release"])}</span></p>{unfinished}'
        '<p>A detector decides only when it says FAKE (or, calibrated, REAL). Everything else is INCONCLUSIVE: no evidence, which is '
        "never the same as authentic. These figures hold for these files, and for no others.</p>"
        f'<section class="wide"><table><tr><th>detector</th><th class="n">files</th><th class="n">fakes called FAKE</th>'
        f'<th class="n">genuine called FAKE</th><th class="n">AUC (95 %)</th><th class="n">CPU s, median</th></tr>{rows}</table></section>'
    )  # fmt: skip


def _model(m: dict[str, Any], folder: Path) -> str:
    counts = m["counts"]
    parts = [
        f'<section id="{escape(m["name"])}"><h2>{escape(m["name"])} <span class="soft">{escape(m["version"])}</span></h2>',
        f"<p>{escape(m['description'])}</p>",
        f'<p class="soft">{counts["examined"]} files examined ({counts["real"]} genuine, {counts["fake"]} fake), '
        f"{counts['not_applicable']} of a kind that it does not examine, {counts['failed']} failed.</p>",
    ]
    if not counts["examined"]:
        return "".join([*parts, _failures(m), "</section>"])
    parts += [f'<p class="warn">{escape(text)}</p>' for text in m["warnings"]]
    parts += [_decisions(m), _ranking(m["ranking"]), _calibration(m["calibration"]), _abstention(m)]
    parts += [_examples(m, folder), _failures(m), _cost(m)]
    limits = "".join(f"<li>{escape(text)}</li>" for text in m["limits"])
    return "".join([*parts, f"<h3>What it cannot see</h3><ul>{limits}</ul></section>"])


def _decisions(m: dict[str, Any]) -> str:
    rows = ""
    for line in m["manipulations"]:
        parts = [(name, line[name]) for name in ("FAKE", "INCONCLUSIVE", "REAL")]
        rows += (
            f'<tr><td>{escape(line["name"]) if line["fake"] else "genuine"}</td><td class="barred">{charts.bar(parts, line["n"])}</td>'
            + "".join(f'<td class="n">{count}</td>' for _, count in parts)
            + f'<td class="n">{line["suspicious"]}</td><td class="n">{_interval(line["auc"])}</td></tr>'
        )
    fake, real = m["decisions"]["fake"]["FAKE"], m["decisions"]["real"]["FAKE"]
    return (
        "<h3>What it decided</h3>"
        f"<p>Called FAKE: {_words(fake)} fakes, {_words(real)} genuine files (95 % Wilson intervals).</p>"
        '<p class="soft key"><span class="k-FAKE"></span>FAKE<span class="k-INCONCLUSIVE"></span>INCONCLUSIVE<span class="k-REAL"></span>REAL</p>'
        '<div class="wide"><table><tr><th>files</th><th></th><th class="n">FAKE</th><th class="n">INCONCL.</th><th class="n">REAL</th>'
        f'<th class="n">suspicious</th><th class="n">AUC (95 %)</th></tr>{rows}</table></div>'
    )


def _ranking(ranking: dict[str, Any]) -> str:
    if not ranking["applicable"]:
        return f"<h3>Ranking</h3><p>Not applicable: {escape(ranking['reason'])}.</p>"
    without = f" {ranking['without']} examined files have none." if ranking["without"] else ""
    return (
        f'<h3>Ranking</h3><div class="charts">{charts.roc(ranking)}<div>'
        f'<p><span class="big">{ranking["auc"]["value"]:.3f}</span> area under the curve<br><span class="soft">95 % interval '
        f"{ranking['auc']['low']:.3f} to {ranking['auc']['high']:.3f}</span></p>"
        f'<p><span class="big">{ranking["eer"]["value"]:.1%}</span> equal error rate<br><span class="soft">95 % interval '
        f"{ranking['eer']['low']:.1%} to {ranking['eer']['high']:.1%}</span></p>"
        f'<p class="soft">By <code>{escape(ranking["statistic"])}</code> over {ranking["n_real"]} genuine and {ranking["n_fake"]} '
        f"fake files, whether or not the detector concludes anything from it.{without} Intervals and band: bootstrap within the "
        "classes.</p></div></div>"
    )


def _calibration(found: dict[str, Any]) -> str:
    if not found["applicable"]:
        return f"<h3>Calibration</h3><p>Not applicable: {escape(found['reason'])}.</p>"
    return (
        f'<h3>Calibration</h3><div class="charts">{charts.calibration(found)}<div>'
        f'<p><span class="big">{found["ece"]["value"]:.3f}</span> expected calibration error<br><span class="soft">95 % interval '
        f"{found['ece']['low']:.3f} to {found['ece']['high']:.3f}; ten bins of equal width</span></p>"
        f'<p class="soft">Brier score {found["brier"]:.3f}, {found["n"]} files.</p></div></div>'
    )


def _abstention(m: dict[str, Any]) -> str:
    parts = ["<h3>Where it could say nothing</h3>"]
    for label, name in (("fake", "fakes"), ("real", "genuine files")):
        found = m["abstention"][label]
        reasons = "".join(f"<li>{one['count']} × {escape(one['reason'])}</li>" for one in found["reasons"])
        parts.append(f"<p>Ended INCONCLUSIVE, with a reason why nothing could be measured: {_words(found)} {name}.</p>" + (f"<details><summary>Reasons</summary><ul>{reasons}</ul></details>" if reasons else ""))  # fmt: skip
    return "".join(parts)


def _examples(m: dict[str, Any], folder: Path) -> str:
    shown = ""
    for one in m["examples"]:
        images = "".join(
            f'<img alt="{escape(Path(name).stem)}" src="{data}">' for name in one["pictures"] if (data := _data(folder / name))
        )  # fmt: skip
        statistic = "" if one["statistic"] is None else f" Statistic {one['statistic']:.4g} (higher: more like a fake)."
        shown += (
            f"<figure>{images}<figcaption><b>{escape(_WORDS[one['kind']])}</b><br>{escape(one['file'])}<br>{one['prediction']}, "
            f"finding {one['finding']}.{statistic} {escape(one['note'] or '')}</figcaption></figure>"
        )
    return f'<h3>Hits and misses</h3><div class="examples">{shown}</div>' if shown else ""


def _failures(m: dict[str, Any]) -> str:
    if not m["failures"]:
        return ""
    rows = "".join(
        f'<tr><td>{escape(f["cause"])}</td><td class="n">{f["count"]}</td><td>'
        + "<br>".join(f"{escape(e['file'])}: {escape(e['message'])}" for e in f["examples"])
        + "</td></tr>"
        for f in m["failures"]
    )
    return f'<h3>Failures</h3><div class="wide"><table><tr><th>cause</th><th class="n">files</th><th>for example</th></tr>{rows}</table></div>'


def _cost(m: dict[str, Any]) -> str:
    cost = m["cost"]
    return (
        f"<h3>Cost of a file</h3><p>{cost['cpu_s']['median']} s of processor (median; 95 % under {cost['cpu_s']['p95']} s), "
        f"{cost['peak_mb']['median']:.0f} MiB at the peak (median; highest {cost['peak_mb']['highest']:.0f} MiB, libraries included).</p>"
    )


def _foot(report: dict[str, Any]) -> str:
    refused = "".join(f"<li>{escape(line)}</li>" for line in report["dataset"]["refused"])
    left_out = f"<details><summary>{len(report['dataset']['refused'])} lines of the manifest were left out</summary><ul>{refused}</ul></details>" if refused else ""  # fmt: skip
    return f'{left_out}<p class="soft">Random numbers from seed {report["seed"]}. All figures: report.json.</p>'


def _words(one: dict[str, Any]) -> str:
    if not one["n"]:
        return "none of 0"
    return f"{one['count']} of {one['n']} ({one['share']:.0%}, {one['low']:.0%} to {one['high']:.0%})"


def _brief(one: dict[str, Any]) -> str:
    return f"{one['count']} of {one['n']}"


def _interval(one: dict[str, Any] | None) -> str:
    return "–" if one is None else f"{one['value']:.3f} ({one['low']:.3f}–{one['high']:.3f})"


def _data(path: Path) -> str:
    try:
        return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError:
        return ""
