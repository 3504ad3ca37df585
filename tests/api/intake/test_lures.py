"""Files that want more than to be looked at: playlists that name other files and addresses, and bombs that unfold.

Each lure is tried twice: against the allow-lists alone, in a process that has its network and its files, and through the
whole intake under the name of a film. Nobody comes to the address, and nothing is left.
"""

from __future__ import annotations

import asyncio
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import api_samples as samples
import av
import pytest
from PIL import Image, PngImagePlugin

sys.path.insert(0, str(Path(__file__).parent))

from test_upload import Intake, LocalObjects, Prober, Problem, left, receive

BARE = """
import io, json, sys
from drishtiksha_api.intake import child
answers = {}
for path in sys.argv[1:]:
    file = io.FileIO(path)
    head = file.read(256)
    file.seek(0)
    try:
        answers[path] = str(child._streams(file, head))
    except child.Refused as refused:
        answers[path] = f"refused {refused}"
print(json.dumps(answers))
"""
"""The child without its limits, so that only its lists of formats and protocols stand between a file and the world."""


def lures(address: str, file: Path) -> dict[str, bytes]:
    """Playlists of each kind that FFmpeg knows: they name an http address, or a file of this machine."""
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}/a.ts\n#EXT-X-ENDLIST\n",
        "hls of hls": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{address}/b.m3u8\n",
        "hls that joins": f"#EXTM3U\n#EXTINF:1,\nconcat:{address}/head|file://{file}\n#EXT-X-ENDLIST\n",
        "hls with a key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{address}/key"\n#EXTINF:1,\nfile://{file}\n#EXT-X-ENDLIST\n',
        "list of files": f"ffconcat version 1.0\nfile {address}/c.mp4\n",
        "list of files, absolute": f"ffconcat version 1.0\nfile '{file}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration='
        f'"PT9S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="9"><BaseURL>{address}/d.mp4'
        "</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "asx": f'<asx version="3.0"><entry><ref href="{address}/e.mp4"/></entry></asx>',
        "pls": f"[playlist]\nFile1={address}/f.mp4\nNumberOfEntries=1\n",
        "rtsp": f"RTSPtext\n{address.replace('http', 'rtsp')}/g\n",
    }
    return {name: words.encode() for name, words in text.items()}


@pytest.fixture
async def listening() -> AsyncIterator[tuple[str, list[int]]]:
    """An address that nobody should come to, and who came."""
    came: list[int] = []

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(1)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came
    server.close()
    await server.wait_closed()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A real film on this machine's disk, which a playlist could show."""
    path = tmp_path / "private.mp4"
    path.write_bytes(samples.clip("mp4"))
    return path


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    return Intake(LocalObjects(tmp_path / "objects"), Prober(), 300_000)


async def test_the_lists_alone_let_no_playlist_open_a_file_or_call_an_address(
    listening: tuple[str, list[int]], secret: Path, tmp_path: Path
) -> None:
    address, came = listening
    paths = {}
    for name, data in lures(address, secret).items():
        ending = {"hls": "m3u8", "list": "ffconcat", "dash": "mpd"}.get(name.split()[0], name)
        paths[name] = tmp_path / f"{name}.{ending}"  # FFmpeg believes such a name; the child has none
        paths[name].write_bytes(data)
    command = [sys.executable, "-c", BARE, *map(str, paths.values())]
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True, timeout=120)
    answers = json.loads(done.stdout)
    assert {name: answers[str(path)] for name, path in paths.items()} == dict.fromkeys(paths, "refused UNSUPPORTED")
    assert came == []


async def test_no_playlist_under_the_name_of_a_film_is_taken_in(
    intake: Intake, listening: tuple[str, list[int]], secret: Path, tmp_path: Path
) -> None:
    address, came = listening
    for name, data in lures(address, secret).items():
        with pytest.raises(Problem) as refused:
            await receive(intake, ("file", "film.mp4", data))
        assert refused.value.code == "UNSUPPORTED_TYPE", name
    assert came == []
    assert left(tmp_path / "objects") == []


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    made = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        made += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return made


def _header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)


def _wide_film() -> bytes:
    """An AVI of bare pixels whose header says that a frame is 20,000 × 20,000."""
    out = io.BytesIO()
    with av.open(out, "w", format="avi") as film:
        stream = film.add_stream("rawvideo", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr24"
        frame = av.VideoFrame(64, 48, "bgr24")
        frame.pts = 0
        film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    drawn = out.getvalue()
    at = drawn.index(b"strf") + 12
    return drawn[:at] + struct.pack("<ii", 20_000, 20_000) + drawn[at + 8 :]


def _commented_picture() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 20_000_000, zip=True)
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=text)
    return out.getvalue()


def _whole_picture() -> bytes:
    """Every point of 10,000 × 10,000 is there, so that nothing but their number speaks against it."""
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(10_001)) for _ in range(10_000)) + rows.flush()
    header = b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    return _png(header, (b"IDAT", packed), (b"IEND", b""))


def _wide_jpeg() -> bytes:
    drawn = samples.picture("JPEG")
    at = drawn.index(b"\xff\xc0") + 5
    return drawn[:at] + struct.pack(">HH", 65_500, 65_500) + drawn[at + 4 :]


def _wide_gif() -> bytes:
    screen = b"GIF89a\xff\xff\xff\xff\x80\x00\x00" + bytes(6)
    return screen + b",\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x02D\x01\x00;"


BOMBS = {
    "picture of 10,000 × 10,000, whole": _whole_picture,
    "picture of 60,000 × 60,000": lambda: samples.png_claiming(60_000, 60_000),
    "picture with a comment of 20 MB": _commented_picture,
    "jpeg of 65,500 × 65,500": _wide_jpeg,
    "gif with a screen of 65,535 × 65,535": _wide_gif,
    "film of 20,000 × 20,000": _wide_film,
}
"""A few kilobytes each, and gigabytes unfolded, or said to be."""


@pytest.mark.parametrize("name", list(BOMBS))
async def test_a_bomb_is_refused_as_what_does_not_decode(intake: Intake, tmp_path: Path, name: str) -> None:
    data = BOMBS[name]()
    assert len(data) < 300_000, "it is small"
    with pytest.raises(Problem) as refused:
        await receive(intake, ("file", "film.mp4", data))
    assert refused.value.code == "UNDECODABLE"
    assert left(tmp_path / "objects") == []


async def test_a_picture_whose_bytes_unfold_to_more_than_it_says_costs_no_more_than_it_says(intake: Intake) -> None:
    unfolding = zlib.compress(bytes(50_000_000), 9)
    got = await receive(intake, ("file", "a.png", _png(_header(64, 48), (b"IDAT", unfolding), (b"IEND", b""))))
    assert got.probe.image is not None
    assert (got.probe.image.width, got.probe.image.height) == (64, 48)
