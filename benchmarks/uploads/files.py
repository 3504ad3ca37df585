"""Large files: one alone beside a plain copy, and many at once. The sender hands the file to the kernel (`sendfile`).

A file is a small film with bytes behind it that no player reads, so that looking at it costs the same whatever its size.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import statistics
import struct
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from api_process import ApiProcess

_CHUNK = 1024 * 1024
_SECONDS = 1800


def film(path: Path, size: int) -> None:
    """A film of exactly `size` bytes: half a second of it, then a box of noise."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as made:
        stream = made.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 30 * number, np.uint8), "rgb24")
            frame.pts = number
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    noise, left = os.urandom(_CHUNK), size - len(out.getvalue()) - 16
    with path.open("wb") as file:
        file.write(out.getvalue() + struct.pack(">I4sQ", 1, b"free", left + 16))  # a box with a 64-bit size
        while left > 0:
            left -= file.write(noise[: min(left, len(noise))])


def send(of: ApiProcess, token: str, path: Path) -> int:
    """Upload by one connection; the status."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    tail = b"\r\n--x--\r\n"
    length = len(head) + path.stat().st_size + len(tail)
    request = (
        f"POST /api/v1/media HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", of.port), timeout=_SECONDS) as there, path.open("rb") as file:
        there.sendall(request.encode() + head)
        there.sendfile(file)
        there.sendall(tail)
        return int(there.makefile("rb").readline().split()[1])


def copy(path: Path, to: Path, *, hashed: bool = False) -> None:
    """What a plain copy does: read, write, flush to the disk; `hashed`: with a sha256 on the way, as we owe it."""
    digest = hashlib.sha256()
    with path.open("rb") as source, to.open("wb") as target:
        while data := source.read(_CHUNK):
            if hashed:
                digest.update(data)
            target.write(data)
        target.flush()
        os.fsync(target.fileno())
    to.unlink()


def alone(of: ApiProcess, token: str, folder: Path, size: int, rounds: int) -> dict[str, Any]:
    """Uploads and plain copies of one file in turns, so that both meet the same disk. Seconds are medians."""
    path = folder / "alone.mp4"
    film(path, size)
    send(of, token, path)  # both warm: the file is in the page cache
    idle = of.memory()
    of.forget_peak()
    served = psutil.Process(of.pid)
    before = served.cpu_times()
    ours, plain, hashed = [], [], []
    for _ in range(rounds):
        moments = [time.perf_counter()]
        status = send(of, token, path)
        moments.append(time.perf_counter())
        copy(path, folder / "copy.mp4")
        moments.append(time.perf_counter())
        copy(path, folder / "copy.mp4", hashed=True)
        moments.append(time.perf_counter())
        assert status == 202, status
        for times, began, ended in zip((ours, plain, hashed), moments, moments[1:], strict=False):
            times.append(ended - began)
    path.unlink()
    after = served.cpu_times()
    return {
        "bytes": size,
        "rounds": rounds,
        "upload_seconds": statistics.median(ours),
        "copy_seconds": statistics.median(plain),
        "hashed_copy_seconds": statistics.median(hashed),
        "share_of_copy": statistics.median(plain) / statistics.median(ours),
        "cpu_seconds": (after.user + after.system - before.user - before.system) / rounds,
        "idle_mib": idle,
        "peak_mib": of.peak(),
    }


def together(of: ApiProcess, token: str, folder: Path, size: int, many: int) -> dict[str, Any]:
    """Many uploads at the same time."""
    path = folder / "together.mp4"
    film(path, size)
    answers: list[int] = []
    senders = [threading.Thread(target=lambda: answers.append(send(of, token, path))) for _ in range(many)]
    of.forget_peak()
    began = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    path.unlink()
    assert answers == [202] * many, answers
    return {"bytes": size, "many": many, "seconds": time.perf_counter() - began, "peak_mib": of.peak()}
