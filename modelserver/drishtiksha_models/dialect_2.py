"""The older dialect of the ML contract: an answer of dialect 3 in its flat words. Pure; what is kept goes to `keep`.

`forms.py` says how its routes are asked, `shelf.py` keeps the picture that a video's answer names. The extension
(finding, score, calibration, evidence …) goes along: older readers pass over it, newer ones need not do without.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

Keep = Callable[[str, bytes], str]
"""Keeps a picture of this type for a while; returns the file name under which it is fetched."""

PICTURES = "analyze/visualization"
"""Below the service's address; a file's name follows."""


def video(answer: Mapping[str, Any], wished: Mapping[str, bool], keep: Keep) -> dict[str, Any]:
    """What `/analyze/comprehensive` answers. Frames stand in a group; one picture is named and not sent.

    Pictures come only to whoever wished for a visualization: the first under `visualization_filename`, with its address
    in `evidence.images`; the others lie in the evidence as they do in dialect 3.
    """
    data = answer["data"]
    listed = data["frame_predictions"] if wished["include_frames"] else []
    images = data["evidence"]["images"] if wished["include_visualization"] else []
    name = None
    if images:
        first = dict(images[0])
        name = keep(first["mimetype"], base64.b64decode(first.pop("data")))
        images = [{**first, "url": f"{PICTURES}/{name}"}, *images[1:]]
    return {
        **_flat(answer),
        "frames_analysis": {
            "frame_predictions": [
                {"frame_index": frame["index"], **{k: v for k, v in frame.items() if k != "index"}} for frame in listed
            ],
            "temporal_analysis": {},
        },
        "visualization_filename": name,
        "evidence": {**data["evidence"], "images": images},
    }


def audio(answer: Mapping[str, Any], _wished: Mapping[str, bool], _keep: Keep) -> dict[str, Any]:
    """What `/analyze/audio` answers. The spectrogram comes as the base64 text of its picture."""
    images = answer["data"]["evidence"]["images"]
    drawn = next((picture["data"] for picture in images if picture["kind"] == "spectrogram"), None)
    return {**_flat(answer), "visualization": {"spectrogram_url": None, "spectrogram_data": drawn}}


def _flat(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The data with what stood around them; who answered stays known."""
    around = {key: value for key, value in answer.items() if key != "data"}
    return around | {key: value for key, value in answer["data"].items() if key != "frame_predictions"}
