"""The clients of docs/first-client.md, run as they stand there: to the end, through a lost answer, and refused.

Stands beside test_stock_clients.py, which holds the platform to its sentences. The JavaScript client is skipped, with the
reason, where Node or its package cannot be had.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy
from fault_wires import ReplyLost
from PIL import Image
from world import World

sys.path.insert(0, str(Path(__file__).parent / "clients"))

from guide import Said, run_block
from javascript import NoNode, workplace

pytestmark = pytest.mark.long

CLIENTS = {
    "Python": sys.executable,
    "Python, nothing installed": sys.executable,
    "JavaScript": "node",
    "curl": "sh",
}
"""By the heading of the block: who runs it."""
STORY = [
    "RUN_QUEUED",
    "ANALYSIS_QUEUED",
    "PROCESSING_STARTED",
    "ANALYSIS_STARTED",
    "ANALYSIS_COMPLETED",
    "RUN_COMPLETED",
]
FALSE_FRAMES = 150
"""More than a page of the guide's clients."""


def _evidence() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


def _film_model() -> dict[str, Any]:
    image = {
        "kind": "heatmap",
        "name": "where",
        "mimetype": "image/png",
        "data": base64.b64encode(_evidence()).decode(),
    }
    frames = [{"index": i, "score": 0.9 if i < FALSE_FRAMES else 0.1} for i in range(FALSE_FRAMES + 20)]
    said = {
        "media_type": "video",
        "frame_predictions": frames,
        "evidence": {"images": [image]},
        "note": "a patch moved",
    }
    return {"video": True, "image": False, "audio": False, "fake": 0.9, "data": said}


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    made = new_world(script={"FILM-V1": _film_model()})
    made.start()
    return made


@pytest.fixture
def follow(world: World, tmp_path: Path) -> Callable[..., Said]:
    """Runs the client under a heading in a folder of its own."""

    def run(heading: str, file: Path, base: str = world.wiring.base_url) -> Said:
        if heading == "JavaScript":
            try:
                workplace(tmp_path)
            except NoNode as why:
                pytest.skip(f"no stock JavaScript client: {why}")
        return run_block(heading, CLIENTS[heading], tmp_path, base, file)

    return run


@pytest.mark.parametrize("heading", CLIENTS)
def test_a_first_client_goes_all_the_way_though_the_answer_to_its_upload_is_lost(
    world: World, follow: Callable[..., Said], demo_media: dict[str, Any], tmp_path: Path, heading: str
) -> None:
    clip = demo_media["clip"].path
    media_before = world.sql("SELECT count(*) FROM idempotency_keys")
    lost = ReplyLost(b"POST /api/v1/media ")
    with FaultProxy.before(world.wiring.base_url, lost.wire) as between:
        said = follow(heading, clip, between.instead_of(world.wiring.base_url))
    assert said.code == 0, said.out + said.err
    assert lost.lost == 1
    assert said.lines[-1] == "ANALYZED FAKE CLAIMED"
    assert [p.read_bytes() for p in tmp_path.glob("FILM-V1-*" if heading != "curl" else "evidence-*")] == [_evidence()]
    if heading == "curl":
        assert (tmp_path / "copy-of-clip.mp4").read_bytes() == clip.read_bytes()
        assert said.steps[-1] == "ANALYZED"
        assert (tmp_path / "frames.json").read_text().count('"frameNumber"') == FALSE_FRAMES
        assert (tmp_path / "deleted.json").read_text().startswith('{"statusCode":200,"data":{}')
    else:
        assert said.lines[0] == "clip.mp4 VIDEO QUEUED"
        assert said.lines[1] == "FILM-V1 COMPLETED FAKE 0.9 a patch moved"
        assert [line.split()[1] for line in said.lines[2:-1]] == [str(i) for i in range(FALSE_FRAMES)]
        stored = [step.partition(":")[0].split() for step in said.steps if step[0].isdigit()]
        assert stored == [[str(i), event] for i, event in enumerate(STORY, start=1)]
    ((kept,),) = world.sql("SELECT count(*) FROM media WHERE deleted_at IS NULL")
    assert kept == 0
    ((keys,),) = world.sql("SELECT count(*) FROM idempotency_keys")
    assert keys == media_before[0][0] + 1, "one upload was carried out"


@pytest.mark.parametrize("heading", CLIENTS)
def test_a_first_client_that_is_refused_says_why_and_ends(
    follow: Callable[..., Said], tmp_path: Path, heading: str
) -> None:
    words = tmp_path / "words.mp4"
    words.write_text("only words\n" * 100)
    said = follow(heading, words)
    assert said.code != 0
    assert "UNSUPPORTED_TYPE" in said.out + said.err
    assert "Unsupported file type: 'text/plain'." in said.out + said.err
