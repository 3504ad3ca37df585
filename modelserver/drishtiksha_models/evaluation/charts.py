"""Charts of a report as inline SVG, drawn in the colours of the page (`page.css`). Pure: values in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SIDE, LEFT, TOP = 260, 40, 12
"""The square that is drawn in, and what is left beside it for the axis, in units of the picture."""


def roc(ranking: dict[str, Any]) -> str:
    """The curve with its band and the line of chance."""
    band, curve = ranking["band"], ranking["roc"]
    around = [*zip(band["fpr"], band["high"], strict=True), *reversed(list(zip(band["fpr"], band["low"], strict=True)))]
    auc = ranking["auc"]
    inside = (
        f'<polygon class="band" points="{_points(around)}"/>'
        f'<polyline class="chance" points="{_points([(0, 0), (1, 1)])}"/>'
        f'<polyline class="curve" points="{_points(list(zip(curve["fpr"], curve["tpr"], strict=True)))}"/>'
    )
    title = f"ROC: area {auc['value']:.3f}, 95 % interval {auc['low']:.3f} to {auc['high']:.3f}"
    return _square(inside, title, "false alarms among genuine files", "fakes found")


def calibration(found: dict[str, Any]) -> str:
    """What was said against how often it was true, with the interval of each bin."""
    inside = f'<polyline class="chance" points="{_points([(0, 0), (1, 1)])}"/>'
    for one in found["bins"]:
        x = _x(one["said"])
        inside += f'<line class="whisker" x1="{x}" x2="{x}" y1="{_y(one["low"])}" y2="{_y(one["high"])}"/>'
        inside += f'<circle class="dot" cx="{x}" cy="{_y(one["fakes"])}" r="4"><title>{one["n"]} files</title></circle>'
    title = f"Calibration: expected error {found['ece']['value']:.3f}"
    return _square(inside, title, "stated probability of FAKE", "share of fakes")


def bar(parts: Sequence[tuple[str, int]], total: int) -> str:
    """One bar of parts side by side: (class of the page, count)."""
    inside, left = "", 0.0
    for name, count in parts:
        width = 100 * count / max(1, total)
        inside += f'<rect class="{name}" x="{left:.3f}" y="0" width="{width:.3f}" height="10"/>'
        left += width
    words = ", ".join(f"{count} {name}" for name, count in parts)
    return f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{words}">{inside}</svg>'


def _square(inside: str, title: str, below: str, beside: str) -> str:
    ticks = ""
    for value in (0, 0.25, 0.5, 0.75, 1):
        ticks += f'<line class="grid" x1="{_x(value)}" x2="{_x(value)}" y1="{_y(0)}" y2="{_y(1)}"/>'
        ticks += f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(value)}" y2="{_y(value)}"/>'
        if value in (0, 0.5, 1):
            ticks += f'<text x="{_x(value)}" y="{TOP + SIDE + 15}" text-anchor="middle">{value:g}</text>'
            ticks += f'<text x="{LEFT - 6}" y="{_y(value) + 4}" text-anchor="end">{value:g}</text>'
    middle = TOP + SIDE / 2
    return (
        f'<svg class="square" viewBox="0 0 {LEFT + SIDE + 14} {TOP + SIDE + 36}" role="img" aria-label="{title}">'
        f'{ticks}{inside}<text x="{LEFT + SIDE / 2}" y="{TOP + SIDE + 31}" text-anchor="middle">{below}</text>'
        f'<text transform="rotate(-90 10 {middle})" x="10" y="{middle}" text-anchor="middle">{beside}</text></svg>'
    )


def _x(value: float) -> float:
    return round(LEFT + SIDE * value, 2)


def _y(value: float) -> float:
    return round(TOP + SIDE * (1 - value), 2)


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_x(x)},{_y(y)}" for x, y in pairs)
